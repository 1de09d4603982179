//! Batch normalisation between the passes: computes a layer's coefficients from the sums of all
//! threads, in f64. Each thread computes its own channels.
//!
//! `z` is a layer's output before normalisation, `dz` its gradient. `g` is the gradient after it
//! was taken back through the activation. With rounded weights, `y` is the output that counts.

use std::ops::Range;

use super::context::PassContext;
use super::covariance::Covariance;
use super::planned_layer::{Coefficient, PlannedLayer};
use super::rounded_biases::RoundedBiases;
use crate::partition::part;
use crate::simd::{Simd, normalization};

/// Sums of one thread over the pixels of its share.
pub(super) struct Partial {
    /// Number of pixels.
    pub(super) count: *mut f32,
    /// Mean, or sum of gradients, per channel.
    pub(super) first: *mut f32,
    /// Sum of squared deviations, or sum of gradient times deviation, per channel.
    pub(super) second: *mut f32,
    /// Smallest and largest `y` per channel, if ranges are measured.
    lowest: *mut f32,
    highest: *mut f32,
}

impl Partial {
    /// A thread's sums for a layer of `width` channels.
    pub(super) fn of(context: &PassContext<'_>, width: usize, thread: usize) -> Self {
        let count = context.pointer(context.shared.partials.of(thread));
        let first = count.wrapping_add(context.vectors.lanes);
        Self {
            count,
            first,
            second: first.wrapping_add(width),
            lowest: first.wrapping_add(2 * width),
            highest: first.wrapping_add(3 * width),
        }
    }

    /// The same, set to 0.
    pub(super) fn cleared(context: &PassContext<'_>, width: usize, thread: usize) -> Self {
        let partial = Self::of(context, width, thread);
        // SAFETY: the sums are this thread's, with room for the widest layer.
        unsafe {
            partial.count.write(0.0);
            partial.first.write_bytes(0, 2 * width);
        }
        partial
    }

    /// Adds pixels of a layer's map, which this thread has just written, after `seen` others. `z` is
    /// where their `z` is, if it is computed.
    #[inline(always)]
    pub(super) fn add<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        pixels: &Range<usize>,
        z: *const f32,
        seen: &mut usize,
    ) {
        let measures = !layer.fixed_statistics && layer.covariance.is_none();
        if !pixels.is_empty() && measures {
            // SAFETY: no thread writes these pixels now; the sums are this thread's.
            unsafe {
                normalization::statistics(
                    simd,
                    z,
                    layer.pixel,
                    pixels.len(),
                    layer.vectors,
                    *seen as f32,
                    self.first,
                    self.second,
                );
            }
        }
        if !pixels.is_empty() && layer.range.is_some() {
            // SAFETY: as above; with ranges, there is room for the extremes, too.
            unsafe {
                normalization::extremes(
                    simd,
                    context.pointer(layer.output(pixels.start)),
                    layer.pixel,
                    pixels.len(),
                    layer.vectors,
                    *seen == 0,
                    self.lowest,
                    self.highest,
                );
            }
        }
        *seen += pixels.len();
        // SAFETY: the count is this thread's.
        unsafe { self.count.write(*seen as f32) }
    }

    /// Smallest and largest `y` of a channel; `None` if the thread has no pixels.
    pub(super) fn extremes(&self, channel: usize) -> Option<[f32; 2]> {
        // SAFETY: all threads have written their extremes before the barrier.
        unsafe {
            let extremes = || [self.lowest, self.highest].map(|row| row.add(channel).read());
            (self.count.read() > 0.0).then(extremes)
        }
    }

    /// Reads the count and the sums of a channel.
    fn read(&self, channel: usize) -> (f64, f64, f64) {
        // SAFETY: all threads have written their sums before the barrier.
        unsafe {
            (
                f64::from(self.count.read()),
                f64::from(self.first.add(channel).read()),
                f64::from(self.second.add(channel).read()),
            )
        }
    }
}

/// The value of an optional parameter, or `otherwise`.
fn parameter(
    context: &PassContext<'_>,
    offset: Option<usize>,
    channel: usize,
    otherwise: f64,
) -> f64 {
    offset.map_or(otherwise, |offset| {
        f64::from(context.parameters[offset + channel])
    })
}

/// Writes the coefficients of the forward pass.
pub(super) fn finish(
    context: &PassContext<'_>,
    layer: &PlannedLayer,
    before: Option<&PlannedLayer>,
    thread: usize,
) {
    let spec = &layer.spec;
    let biases = layer.rounded.as_ref();
    let biases = biases.and_then(|planned| RoundedBiases::new(context, planned, before));
    for channel in part(layer.width, thread, context.threads) {
        let set = |which, value: f64| {
            // SAFETY: the channel is this thread's.
            unsafe {
                context
                    .coefficient(layer, which)
                    .add(channel)
                    .write(value as f32)
            }
        };
        if channel >= spec.out_channels {
            // The padding of the last vector is 0 before and after the normalisation.
            for which in [
                Coefficient::Scale,
                Coefficient::Shift,
                Coefficient::Mean,
                Coefficient::Variance,
                Coefficient::Inverse,
                Coefficient::Centre,
            ] {
                set(which, 0.0);
            }
            continue;
        }
        let (mean, variance) = if layer.fixed_statistics {
            (
                f64::from(context.parameters[spec.running_mean + channel]),
                f64::from(context.parameters[spec.running_variance + channel]),
            )
        } else if let Some(covariance) = Covariance::of(context, layer) {
            covariance.moments(channel)
        } else {
            batch_moments(context, layer, channel)
        };
        let inverse = 1.0 / (variance + context.epsilon).sqrt();
        let gamma = parameter(context, spec.gamma, channel, 1.0);
        set(Coefficient::Mean, mean);
        set(Coefficient::Variance, variance);
        set(Coefficient::Inverse, inverse);
        let (scale, centre) = match layer.rounded {
            None => (gamma * inverse, mean),
            Some(_) => {
                let folded = running_inverse(context, layer, channel);
                (inverse / folded, mean * gamma * folded)
            }
        };
        set(Coefficient::Scale, scale);
        set(Coefficient::Centre, centre);
        let beta = parameter(context, spec.beta, channel, 0.0);
        let bias = beta - mean * (gamma * inverse);
        let bias = biases.as_ref().map_or(bias, |of| of.round(channel, bias));
        set(Coefficient::Shift, bias);
    }
}

/// `1 / sqrt(running variance + epsilon)`.
fn running_inverse(context: &PassContext<'_>, layer: &PlannedLayer, channel: usize) -> f64 {
    let variance = f64::from(context.parameters[layer.spec.running_variance + channel]);
    1.0 / (variance + context.epsilon).sqrt()
}

/// Mean and biased variance over the pixels of all threads, merged by Chan's formula.
fn batch_moments(context: &PassContext<'_>, layer: &PlannedLayer, channel: usize) -> (f64, f64) {
    let (mut count, mut mean, mut deviations) = (0.0, 0.0, 0.0);
    for thread in 0..context.threads {
        let (n, m, d) = Partial::of(context, layer.width, thread).read(channel);
        if n > 0.0 {
            let delta = m - mean;
            let total = count + n;
            deviations += d + delta * delta * count * n / total;
            mean += delta * n / total;
            count = total;
        }
    }
    (mean, deviations / layer.pixels as f64)
}

/// Writes the coefficients of the backward pass, and the gradients of gamma and beta.
///
/// ```text
/// dz = scale * (g - sum(g) / n - (z - mean) / variance * sum(g * (z - mean)) / n)
/// ```
///
/// With rounded weights, the first term is that of `dy`. Here `inverse` is `1 / sqrt(variance +
/// epsilon)`, and `y`'s scale is `inverse / folded`. The folded weights contribute to the gradient
/// of gamma, too, but later.
///
/// ```text
/// d inverse = gamma * sum(g * (z - mean))
///           = sum(g * (y - mean * gamma * folded)) / folded    with rounded weights
/// d mean    = -gamma * inverse * sum(g)
/// dz        = d mean / n - d inverse * inverse^3 * (z - mean) / n
/// ```
pub(super) fn finish_gradient(context: &PassContext<'_>, layer: &PlannedLayer, thread: usize) {
    let spec = &layer.spec;
    for channel in part(layer.width, thread, context.threads) {
        let (mut sum, mut product) = (0.0, 0.0);
        for thread in 0..context.threads {
            let (_, first, second) = Partial::of(context, layer.width, thread).read(channel);
            sum += first;
            product += second;
        }
        // SAFETY: the channel is this thread's in coefficients and gradients.
        let get =
            |which| f64::from(unsafe { context.coefficient(layer, which).add(channel).read() });
        let (mean, inverse) = (get(Coefficient::Mean), get(Coefficient::Inverse));
        let is_padding = channel >= spec.out_channels;
        // `factor` is gamma * inverse, `scaled` is d inverse * inverse.
        let (factor, scaled, of_gamma) = match layer.rounded {
            None => {
                let factor = get(Coefficient::Scale);
                (factor, factor * product, product * inverse)
            }
            Some(_) if is_padding => (0.0, 0.0, 0.0),
            Some(_) => {
                let factor = parameter(context, spec.gamma, channel, 1.0) * inverse;
                let scaled = product / running_inverse(context, layer, channel) * inverse;
                (factor, scaled, -sum * mean * inverse)
            }
        };
        let (mut slope, mut offset) = (0.0, 0.0);
        if !layer.fixed_statistics {
            let count = layer.pixels as f64;
            slope = -scaled * inverse * inverse / count;
            offset = -factor * sum / count - slope * mean;
        }
        for (which, value) in [
            (Coefficient::Slope, slope),
            (Coefficient::Offset, offset),
            (Coefficient::Factor, factor),
        ] {
            // SAFETY: the channel is this thread's.
            unsafe {
                context
                    .coefficient(layer, which)
                    .add(channel)
                    .write(value as f32)
            }
        }
        if !is_padding {
            for (offset, value) in [(spec.gamma, of_gamma), (spec.beta, sum)] {
                if let Some(offset) = offset {
                    // SAFETY: the channel is this thread's.
                    unsafe {
                        context
                            .parameter_gradient(offset + channel)
                            .write(value as f32)
                    }
                }
            }
        }
    }
}

/// `sum(dz * z)` over the pixels, from the moments of `z`.
pub(super) fn sum_through_z(
    context: &PassContext<'_>,
    layer: &PlannedLayer,
    channel: usize,
) -> f64 {
    // SAFETY: all threads have written the coefficients before the barrier.
    let get = |which| f64::from(unsafe { context.coefficient(layer, which).add(channel).read() });
    let (mean, variance) = (get(Coefficient::Mean), get(Coefficient::Variance));
    let (slope, offset) = (get(Coefficient::Slope), get(Coefficient::Offset));
    layer.pixels as f64 * (slope * variance + (offset + slope * mean) * mean)
}
