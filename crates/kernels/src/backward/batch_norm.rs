//! Batch normalisation by the moments of the batch, and its gradients. The normalisation itself is
//! [`crate::batch_norm::scale_shift`] of these moments.
//!
//! ```text
//! xhat    = (x - mean) / sigma,  sigma = sqrt(variance + epsilon)
//! dbeta   = sum of g
//! dgamma  = sum of g * xhat
//! dx      = gamma / sigma * (g - mean of g - xhat * mean of (g * xhat))
//! ```
//!
//! with `g` the gradient that has passed the activation.

use rayon::prelude::*;

use super::gate::{CHUNK, Gate, gated};
use super::parts::of_parts;
use crate::activation::Activation;
use crate::batch_norm::BatchNormParameters;
use crate::error::{KernelError, check_length};
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Moments of a batch, one value a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Mean.
    pub mean: Vec<f32>,
    /// Mean of squared deviations: the biased variance.
    pub variance: Vec<f32>,
}

/// Moments of some pixels, in f64.
struct Partial {
    count: f64,
    mean: Vec<f64>,
    deviations: Vec<f64>,
}

impl Partial {
    fn empty(channels: usize) -> Self {
        Self {
            count: 0.0,
            mean: vec![0.0; channels],
            deviations: vec![0.0; channels],
        }
    }

    /// Chan's formula.
    fn merge<T: Copy + Into<f64>>(&mut self, count: f64, mean: &[T], deviations: &[T]) {
        let merged = self.count + count;
        let (weight, product) = (count / merged, self.count / merged * count);
        let own = self.mean.iter_mut().zip(&mut self.deviations);
        for ((own_mean, own_deviations), (mean, deviations)) in own.zip(mean.iter().zip(deviations))
        {
            let delta = (*mean).into() - *own_mean;
            *own_mean += delta * weight;
            *own_deviations += (*deviations).into() + delta * delta * product;
        }
        self.count = merged;
    }
}

/// Mean and variance of `[pixels, channels]`. Some pixels at a time are reduced twice while they
/// are in the cache, first to their mean, then to deviations from it, so that a large mean costs no
/// precision.
///
/// # Errors
/// Where there are no pixels or no channels, or the length does not fit.
pub fn moments(input: &[f32], channels: usize) -> Result<Moments, KernelError> {
    if channels == 0 || input.is_empty() {
        return Err(KernelError::Zero { what: "batch" });
    }
    check_length("input", input.len(), &[input.len() / channels, channels])?;
    let isa = Isa::current()?;
    let chunk = CHUNK * channels;
    let chunks = input.len().div_ceil(chunk);
    let parts = of_parts(chunks, 4 * channels, |range| {
        let mut partial = Partial::empty(channels);
        let (mut mean, mut deviations) = (vec![0.0f32; channels], vec![0.0f32; channels]);
        for index in range {
            let input = &input[index * chunk..((index + 1) * chunk).min(input.len())];
            let work = Reduce {
                input,
                mean: &mut mean,
                deviations: &mut deviations,
            };
            dispatch(isa, work);
            partial.merge((input.len() / channels) as f64, &mean, &deviations);
        }
        partial
    });
    let mut total = Partial::empty(channels);
    for part in &parts {
        total.merge(part.count, &part.mean, &part.deviations);
    }
    let variance = total.deviations.iter().map(|sum| sum / total.count);
    Ok(Moments {
        variance: variance.map(|variance| variance as f32).collect(),
        mean: total.mean.iter().map(|&mean| mean as f32).collect(),
    })
}

/// Mean and sum of squared deviations of a few pixels.
struct Reduce<'a> {
    input: &'a [f32],
    mean: &'a mut [f32],
    deviations: &'a mut [f32],
}

impl Kernel for Reduce<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let channels = self.mean.len();
        let deviations = &mut self.deviations[..channels];
        self.mean.fill(0.0);
        deviations.fill(0.0);
        let share = 1.0 / (self.input.len() / channels) as f32;
        for pixel in self.input.chunks_exact(channels) {
            for (sum, x) in self.mean.iter_mut().zip(pixel) {
                *sum += x;
            }
        }
        for sum in self.mean.iter_mut() {
            *sum *= share;
        }
        for pixel in self.input.chunks_exact(channels) {
            for c in 0..channels {
                let deviation = pixel[c] - self.mean[c];
                deviations[c] += deviation * deviation;
            }
        }
    }
}

/// Gradients of the parameters, one value a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterGradients {
    /// Of the scale.
    pub gamma: Vec<f32>,
    /// Of the shift.
    pub beta: Vec<f32>,
}

/// Gradients of normalisation and activation: one pass over the pixels for the sums, and another
/// for the gradient of the input, which also goes through the moments. `parameters` holds the
/// [`moments`] of `input` `[pixels, channels]`.
///
/// # Errors
/// Where the lengths do not fit.
pub fn gradients(
    input: &[f32],
    parameters: &BatchNormParameters<'_>,
    activation: Activation,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<ParameterGradients, KernelError> {
    check_length("input gradient", input_gradient.len(), &[input.len()])?;
    let normalisation = parameters.scale_shift()?;
    let gate = Gate::new(
        input,
        &normalisation.scale,
        &normalisation.shift,
        activation,
        output_gradient,
    )?;
    let channels = parameters.mean.len();
    let (sums, products) = gate.sums(parameters.mean);
    let count = (input.len() / channels).max(1) as f64;
    let mut result = ParameterGradients {
        gamma: Vec::with_capacity(channels),
        beta: sums.iter().map(|&sum| sum as f32).collect(),
    };
    // dx = g * factor + (x - mean) * slope + offset
    let (mut slope, mut offset) = (Vec::with_capacity(channels), Vec::with_capacity(channels));
    for (c, (sum, product)) in sums.iter().zip(&products).enumerate() {
        let precision = 1.0 / (f64::from(parameters.variance[c]) + parameters.epsilon).sqrt();
        let factor = precision * parameters.gamma.map_or(1.0, |gamma| f64::from(gamma[c]));
        result.gamma.push((product * precision) as f32);
        slope.push((-factor * precision * precision * product / count) as f32);
        offset.push((-factor * sum / count) as f32);
    }
    input_gradient
        .par_chunks_mut(CHUNK * channels)
        .zip(input.par_chunks(CHUNK * channels))
        .zip(output_gradient.par_chunks(CHUNK * channels))
        .for_each(|((input_gradient, input), output_gradient)| {
            let work = Differential {
                gate: &gate,
                input,
                output_gradient,
                mean: parameters.mean,
                slope: &slope,
                offset: &offset,
                input_gradient,
            };
            dispatch(gate.isa, work);
        });
    Ok(result)
}

struct Differential<'a, 'b> {
    gate: &'a Gate<'b>,
    input: &'a [f32],
    output_gradient: &'a [f32],
    mean: &'a [f32],
    slope: &'a [f32],
    offset: &'a [f32],
    input_gradient: &'a mut [f32],
}

impl Kernel for Differential<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let channels = self.mean.len();
        // Slices of one length known to be equal: the loop below then needs no checks.
        let (scale, shift) = (&self.gate.scale[..channels], &self.gate.shift[..channels]);
        let (slope, offset) = (&self.slope[..channels], &self.offset[..channels]);
        let pixels = self.input.chunks_exact(channels);
        let pixels = pixels.zip(self.output_gradient.chunks_exact(channels));
        for (dx, (x, g)) in self.input_gradient.chunks_exact_mut(channels).zip(pixels) {
            for c in 0..channels {
                let g = gated(x[c] * scale[c] + shift[c], self.gate.bounds, g[c]);
                // The factor of the gradient, gamma / sigma, is the scale itself.
                dx[c] = g * scale[c] + ((x[c] - self.mean[c]) * slope[c] + offset[c]);
            }
        }
    }
}
