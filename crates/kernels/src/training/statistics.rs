//! Batch normalisation's numbers between the passes: from the sums of all threads to a layer's
//! coefficients, in f64, each thread for its own channels.

use std::ops::Range;

use super::run::Run;
use super::step::{Coefficient, Step};
use crate::partition::part;
use crate::simd::{Simd, normalization};

/// Sums of one thread over the pixels of its share.
pub(super) struct Partial {
    /// Number of pixels.
    pub(super) count: *mut f32,
    /// Mean, or sum of gradients, a channel.
    pub(super) first: *mut f32,
    /// Squared deviations, or sum of gradient times deviation, a channel.
    pub(super) second: *mut f32,
}

impl Partial {
    /// A thread's sums for a layer of `width` channels.
    fn of(run: &Run<'_>, width: usize, thread: usize) -> Self {
        let count = run.pointer(run.shared.partials.of(thread));
        let first = count.wrapping_add(run.vectors.lanes);
        Self {
            count,
            first,
            second: first.wrapping_add(width),
        }
    }

    /// The same, cleared.
    pub(super) fn cleared(run: &Run<'_>, width: usize, thread: usize) -> Self {
        let partial = Self::of(run, width, thread);
        // SAFETY: the sums are this thread's, with room for the widest layer.
        unsafe {
            partial.count.write(0.0);
            partial.first.write_bytes(0, 2 * width);
        }
        partial
    }

    /// Adds the pixels of a layer's map, just written by this thread, after `seen` others.
    #[inline(always)]
    pub(super) fn add<S: Simd>(
        &self,
        simd: S,
        run: &Run<'_>,
        step: &Step,
        pixels: &Range<usize>,
        seen: &mut usize,
    ) {
        if !pixels.is_empty() && !step.fixed_statistics {
            // SAFETY: no thread writes these pixels now; the sums are this thread's.
            unsafe {
                normalization::statistics(
                    simd,
                    run.pointer(step.map + pixels.start * step.width),
                    step.width,
                    pixels.len(),
                    step.vectors,
                    *seen as f32,
                    self.first,
                    self.second,
                );
            }
        }
        *seen += pixels.len();
        // SAFETY: the count is this thread's.
        unsafe { self.count.write(*seen as f32) }
    }

    /// Count and sums of a channel.
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

/// The value of an optional parameter.
fn parameter(run: &Run<'_>, offset: Option<usize>, channel: usize, otherwise: f64) -> f64 {
    offset.map_or(otherwise, |offset| {
        f64::from(run.parameters[offset + channel])
    })
}

/// Writes the coefficients of the forward pass.
pub(super) fn finish(run: &Run<'_>, step: &Step, thread: usize) {
    let layer = &step.layer;
    for channel in part(step.width, thread, run.threads) {
        let set = |which, value: f64| {
            // SAFETY: the channel is this thread's.
            unsafe {
                run.coefficient(step, which)
                    .add(channel)
                    .write(value as f32)
            }
        };
        if channel >= layer.out_channels {
            // What fills up the last vector is 0 before and after the normalisation.
            for which in [
                Coefficient::Scale,
                Coefficient::Shift,
                Coefficient::Mean,
                Coefficient::Variance,
                Coefficient::Inverse,
            ] {
                set(which, 0.0);
            }
            continue;
        }
        let (mean, variance) = if step.fixed_statistics {
            (
                f64::from(run.parameters[layer.running_mean + channel]),
                f64::from(run.parameters[layer.running_variance + channel]),
            )
        } else {
            batch_moments(run, step, channel)
        };
        let inverse = 1.0 / (variance + run.epsilon).sqrt();
        let scale = parameter(run, layer.gamma, channel, 1.0) * inverse;
        set(Coefficient::Mean, mean);
        set(Coefficient::Variance, variance);
        set(Coefficient::Inverse, inverse);
        set(Coefficient::Scale, scale);
        let beta = parameter(run, layer.beta, channel, 0.0);
        set(Coefficient::Shift, beta - mean * scale);
    }
}

/// Mean and biased variance over all threads' pixels, merged by Chan's formula.
fn batch_moments(run: &Run<'_>, step: &Step, channel: usize) -> (f64, f64) {
    let (mut count, mut mean, mut deviations) = (0.0, 0.0, 0.0);
    for thread in 0..run.threads {
        let (n, m, d) = Partial::of(run, step.width, thread).read(channel);
        if n > 0.0 {
            let delta = m - mean;
            let total = count + n;
            deviations += d + delta * delta * count * n / total;
            mean += delta * n / total;
            count = total;
        }
    }
    (mean, deviations / step.pixels as f64)
}

/// Writes the coefficients of the backward pass, and the gradients of gamma and beta.
///
/// ```text
/// dz = scale * (g - sum(g) / n - (z - mean) / variance * sum(g * (z - mean)) / n)
/// ```
pub(super) fn finish_gradient(run: &Run<'_>, step: &Step, thread: usize) {
    let layer = &step.layer;
    for channel in part(step.width, thread, run.threads) {
        let (mut sum, mut product) = (0.0, 0.0);
        for thread in 0..run.threads {
            let (_, first, second) = Partial::of(run, step.width, thread).read(channel);
            sum += first;
            product += second;
        }
        // SAFETY: the channel is this thread's in coefficients and gradients.
        let get = |which| f64::from(unsafe { run.coefficient(step, which).add(channel).read() });
        let (scale, mean) = (get(Coefficient::Scale), get(Coefficient::Mean));
        let inverse = get(Coefficient::Inverse);
        let (mut slope, mut offset) = (0.0, 0.0);
        if !step.fixed_statistics {
            let count = step.pixels as f64;
            slope = -scale * inverse * inverse * product / count;
            offset = -scale * sum / count - slope * mean;
        }
        for (which, value) in [(Coefficient::Slope, slope), (Coefficient::Offset, offset)] {
            // SAFETY: as above.
            unsafe {
                run.coefficient(step, which)
                    .add(channel)
                    .write(value as f32)
            }
        }
        if channel < layer.out_channels {
            for (offset, value) in [(layer.gamma, product * inverse), (layer.beta, sum)] {
                if let Some(offset) = offset {
                    // SAFETY: as above.
                    unsafe { run.parameter_gradient(offset + channel).write(value as f32) }
                }
            }
        }
    }
}
