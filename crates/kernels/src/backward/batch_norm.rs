//! Batch normalisation of `x` by the moments of the batch, and its gradients. The normalisation
//! itself is [`crate::batch_norm::scale_shift`] with these moments.
//!
//! ```text
//! xhat    = (x - mean) / sigma,  sigma = sqrt(variance + epsilon)
//! dbeta   = sum of g
//! dgamma  = sum of g * xhat
//! dx      = gamma / sigma * (g - mean of g - xhat * mean of (g * xhat))
//! ```
//!
//! `g` is the gradient after it has passed back through the activation.

use crate::batch_norm::BatchNormParameters;
use crate::error::KernelError;
use crate::layer::slices::normalization::{Affine, Map};
use crate::network::Activation;

/// Moments of a batch, one value per channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Mean.
    pub mean: Vec<f32>,
    /// Mean of squared deviations: the biased variance.
    pub variance: Vec<f32>,
}

/// Mean and variance of `[pixels, channels]`. Each block of pixels is summed as differences from
/// its first pixel, so that a large mean costs no precision.
///
/// # Errors
/// If there are no pixels or no channels, or the length does not match.
pub fn moments(input: &[f32], channels: usize) -> Result<Moments, KernelError> {
    if input.is_empty() {
        return Err(KernelError::Zero { what: "batch" });
    }
    let map = Map::new(input, channels)?;
    let moments = map.moments();
    let single = |value: f64| value as f32;
    let count = map.pixels() as f64;
    let variance = moments.deviations.into_iter().map(|sum| sum / count);
    Ok(Moments {
        mean: moments.mean.into_iter().map(single).collect(),
        variance: variance.map(single).collect(),
    })
}

/// Gradients of the parameters, one value per channel.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterGradients {
    /// Of the scale.
    pub gamma: Vec<f32>,
    /// Of the shift.
    pub beta: Vec<f32>,
}

/// Gradients of normalisation and activation. A first pass over the pixels computes the sums. A
/// second one computes the gradient of the input, which takes into account that the moments depend
/// on the input. `parameters` must hold the [`moments`] of `input`, which is `[pixels, channels]`.
///
/// # Errors
/// If the lengths do not match.
pub fn gradients(
    input: &[f32],
    parameters: &BatchNormParameters<'_>,
    activation: Activation,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<ParameterGradients, KernelError> {
    let normalisation = parameters.scale_shift()?;
    let channels = parameters.mean.len();
    let map = Map::new(input, channels)?;
    let affine = Affine {
        scale: &normalisation.scale,
        shift: &normalisation.shift,
        bounds: activation.bounds(),
    };
    let gated = Some(input_gradient.into());
    let [sums, products] = map.gate(affine, parameters.mean, output_gradient, gated)?;
    let count = map.pixels().max(1) as f64;
    let mut result = ParameterGradients {
        gamma: Vec::with_capacity(channels),
        beta: sums.iter().map(|&sum| sum as f32).collect(),
    };
    // dx = g * factor + x * slope + offset. The factor is gamma / sigma, which is the scale.
    let (mut slope, mut offset) = (Vec::with_capacity(channels), Vec::with_capacity(channels));
    for (c, (sum, product)) in sums.iter().zip(&products).enumerate() {
        let precision = 1.0 / (f64::from(parameters.variance[c]) + parameters.epsilon).sqrt();
        let factor = precision * parameters.gamma.map_or(1.0, |gamma| f64::from(gamma[c]));
        let of_channel = -factor * precision * precision * product / count;
        result.gamma.push((product * precision) as f32);
        slope.push(of_channel as f32);
        offset.push((-factor * sum / count - of_channel * f64::from(parameters.mean[c])) as f32);
    }
    map.differential(affine.scale, &slope, &offset, input_gradient.into())?;
    Ok(result)
}
