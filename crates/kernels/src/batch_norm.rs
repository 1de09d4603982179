//! Batch normalisation at inference: a scale and a shift per channel, computed in f64.
//!
//! ```text
//! y = (x - mean) * gamma / sqrt(variance + epsilon) + beta  =  x * scale + shift
//! ```

use crate::error::{KernelError, check_length};
use crate::layer::slices::fresh;
use crate::layer::slices::normalization::{Affine, Map};
use crate::network::Activation;

/// The statistics and parameters of one batch normalisation, one value per channel each.
#[derive(Debug, Clone, Copy)]
pub struct BatchNormParameters<'a> {
    /// Scale; `None` is 1 (slim's `scale=False`).
    pub gamma: Option<&'a [f32]>,
    /// Shift; `None` is 0 (slim's `center=False`).
    pub beta: Option<&'a [f32]>,
    /// Running mean.
    pub mean: &'a [f32],
    /// Running variance.
    pub variance: &'a [f32],
    /// Added to the variance.
    pub epsilon: f64,
}

/// `y = x * scale + shift` of a batch normalisation.
#[derive(Debug, Clone, PartialEq)]
pub struct ScaleShift {
    /// One factor per channel.
    pub scale: Vec<f32>,
    /// One summand per channel.
    pub shift: Vec<f32>,
}

impl BatchNormParameters<'_> {
    /// Scale and shift of each channel.
    ///
    /// # Errors
    /// If the lengths differ.
    pub fn scale_shift_f64(&self) -> Result<Vec<(f64, f64)>, KernelError> {
        let channels = self.mean.len();
        check_length("variance", self.variance.len(), &[channels])?;
        for (what, values) in [("gamma", self.gamma), ("beta", self.beta)] {
            if let Some(values) = values {
                check_length(what, values.len(), &[channels])?;
            }
        }
        Ok((0..channels)
            .map(|c| {
                let gamma = self.gamma.map_or(1.0, |gamma| f64::from(gamma[c]));
                let beta = self.beta.map_or(0.0, |beta| f64::from(beta[c]));
                let scale = gamma / (f64::from(self.variance[c]) + self.epsilon).sqrt();
                (scale, beta - f64::from(self.mean[c]) * scale)
            })
            .collect())
    }

    /// The normalisation as a scale and a shift.
    ///
    /// # Errors
    /// If the lengths differ.
    pub fn scale_shift(&self) -> Result<ScaleShift, KernelError> {
        let pairs = self.scale_shift_f64()?;
        Ok(ScaleShift {
            scale: pairs.iter().map(|pair| pair.0 as f32).collect(),
            shift: pairs.iter().map(|pair| pair.1 as f32).collect(),
        })
    }

    /// Folds the normalisation into the weights of the convolution before it, and returns the
    /// resulting bias. `weights` has the output channels outermost (`[out, ...]`), as in candle and
    /// PyTorch.
    ///
    /// # Errors
    /// If the lengths do not match.
    pub fn fold_into(&self, weights: &mut [f32]) -> Result<Vec<f32>, KernelError> {
        let pairs = self.scale_shift_f64()?;
        if pairs.is_empty() {
            return Err(KernelError::Zero { what: "channels" });
        }
        let per_channel = weights.len() / pairs.len();
        check_length("weights", weights.len(), &[pairs.len(), per_channel])?;
        if per_channel > 0 {
            for (filter, (scale, _)) in weights.chunks_exact_mut(per_channel).zip(&pairs) {
                for weight in filter {
                    *weight = (f64::from(*weight) * scale) as f32;
                }
            }
        }
        Ok(pairs.iter().map(|pair| pair.1 as f32).collect())
    }
}

/// `output = activation(input * scale + shift)` on `[pixels, channels]`, in one pass.
///
/// # Errors
/// If the lengths do not match.
pub fn scale_shift(
    input: &[f32],
    scale: &[f32],
    shift: &[f32],
    activation: Activation,
    output: &mut [f32],
) -> Result<(), KernelError> {
    let bounds = activation.bounds();
    let affine = Affine {
        scale,
        shift,
        bounds,
    };
    Map::new(input, scale.len())?.normalize(affine, output.into())
}

/// The same into a new vector.
///
/// # Errors
/// If the lengths do not match.
pub fn scale_shift_to_vec(
    input: &[f32],
    scale: &[f32],
    shift: &[f32],
    activation: Activation,
) -> Result<Vec<f32>, KernelError> {
    let bounds = activation.bounds();
    let affine = Affine {
        scale,
        shift,
        bounds,
    };
    let map = Map::new(input, scale.len())?;
    fresh(input.len(), |output| map.normalize(affine, output))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMETERS: BatchNormParameters<'static> = BatchNormParameters {
        gamma: Some(&[2.0, 1.0, 0.5]),
        beta: Some(&[0.0, 1.0, -1.0]),
        mean: &[1.0, 0.0, 4.0],
        variance: &[3.0, 0.0, 15.0],
        epsilon: 1.0,
    };

    #[test]
    fn scale_shift_is_the_normalisation() {
        let folded = PARAMETERS.scale_shift().unwrap();
        assert_eq!(folded.scale, [1.0, 1.0, 0.125]);
        assert_eq!(folded.shift, [-1.0, 1.0, -1.5]);
    }

    #[test]
    fn folding_scales_each_output_channel() {
        let mut weights = vec![1.0; 6];
        let bias = PARAMETERS.fold_into(&mut weights).unwrap();
        assert_eq!(weights, [1.0, 1.0, 1.0, 1.0, 0.125, 0.125]);
        assert_eq!(bias, [-1.0, 1.0, -1.5]);
    }

    #[test]
    fn without_gamma_and_beta_they_are_one_and_zero() {
        let plain = BatchNormParameters {
            gamma: None,
            beta: None,
            ..PARAMETERS
        };
        let folded = plain.scale_shift().unwrap();
        assert_eq!(folded.scale, [0.5, 1.0, 0.25]);
        assert_eq!(folded.shift, [-0.5, 0.0, -1.0]);
    }

    #[test]
    fn wrong_lengths_are_errors() {
        let wrong = BatchNormParameters {
            gamma: Some(&[1.0]),
            ..PARAMETERS
        };
        assert_eq!(
            wrong.scale_shift().unwrap_err().to_string(),
            "gamma holds 1 values, expected 3"
        );
        assert!(PARAMETERS.fold_into(&mut [0.0; 7]).is_err());
        assert!(
            scale_shift(
                &[0.0; 4],
                &[1.0; 3],
                &[0.0; 3],
                Activation::Identity,
                &mut [0.0; 4]
            )
            .is_err()
        );
    }
}
