//! Folded and rounded weights: what the integers of the quantised layer will be. Batch
//! normalisation is folded with the running variance, which changes slowly.
//!
//! ```text
//! factor  = gamma / sqrt(running variance + epsilon)
//! rounded = round(w * factor)
//! ```

use std::ops::Range;

use super::context::PassContext;
use super::covariance::dot;
use super::planned_weights::PlannedWeights;
use crate::fake_quantization::{Grid, WeightScheme, fold_factor};
use crate::partition::part;
use crate::simd::{Simd, rounding};

/// The weights of a layer during a pass.
#[derive(Clone, Copy)]
pub(super) struct RoundedWeights<'a> {
    pub(super) context: &'a PassContext<'a>,
    pub(super) planned: &'a PlannedWeights,
}

/// The grids of a layer's weights.
pub(super) enum WeightGrids<'a> {
    OfTensor(Grid),
    OfChannels(RoundedWeights<'a>),
}

impl<'a> RoundedWeights<'a> {
    /// The factor of a channel.
    pub(super) fn factor(&self, channel: usize) -> f32 {
        self.planned.fold.map_or(1.0, |fold| {
            let gamma = fold
                .gamma
                .map_or(1.0, |gamma| self.context.parameters[gamma + channel]);
            let variance = self.context.parameters[fold.running_variance + channel];
            fold_factor(gamma, variance, self.context.epsilon)
        })
    }

    /// The weights of a channel as they are.
    pub(super) fn of_channel(&self, channel: usize) -> &'a [f32] {
        &self.context.parameters[self.planned.weights + channel * self.planned.depth..]
            [..self.planned.depth]
    }

    /// The gradients of a channel's weights.
    ///
    /// # Safety
    /// They must be this thread's, and used by nobody else meanwhile.
    #[expect(clippy::mut_from_ref, reason = "they are behind a pointer")]
    unsafe fn gradients(&self, channel: usize) -> &mut [f32] {
        let depth = self.planned.depth;
        let first = self.planned.weights + channel * depth;
        // SAFETY: the caller's guarantee.
        unsafe { std::slice::from_raw_parts_mut(self.context.parameter_gradient(first), depth) }
    }

    /// Finds the ranges of the thread's channels.
    #[inline(always)]
    pub(super) fn measure(&self, thread: usize) {
        for channel in part(self.planned.channels, thread, self.context.threads) {
            let factor = self.factor(channel);
            let [least, most] = extremes(self.of_channel(channel), factor);
            // SAFETY: the channel is this thread's.
            unsafe {
                self.context
                    .pointer(self.planned.least + channel)
                    .write(least);
                self.context
                    .pointer(self.planned.most + channel)
                    .write(most);
            }
        }
    }

    /// The range of a channel.
    fn range(&self, channel: usize) -> (f32, f32) {
        // SAFETY: all threads have written the ranges before the barrier.
        unsafe {
            (
                self.context.pointer(self.planned.least + channel).read(),
                self.context.pointer(self.planned.most + channel).read(),
            )
        }
    }

    /// The grids, after all threads have measured.
    pub(super) fn grids(&self) -> WeightGrids<'a> {
        match self.planned.scheme {
            WeightScheme::PerTensor => {
                let ranges = (0..self.planned.channels).map(|channel| self.range(channel));
                let (least, most) = ranges.fold((0.0f32, 0.0f32), |(low, high), (least, most)| {
                    (low.min(least), high.max(most))
                });
                WeightGrids::OfTensor(Grid::of_weights(self.planned.scheme, least, most))
            }
            WeightScheme::PerChannel => WeightGrids::OfChannels(*self),
        }
    }

    /// Rounds values `k` of a channel to its grid.
    #[inline(always)]
    pub(super) fn round<S: Simd>(
        &self,
        simd: S,
        grid: &Grid,
        channel: usize,
        k: Range<usize>,
        to: &mut [f32],
    ) {
        let (factor, weights) = (self.factor(channel), &self.of_channel(channel)[k]);
        rounding::round_scaled(simd, weights, factor, to, grid.steps());
    }

    /// Replaces the gradients of a channel's rounded weights by those of the weights, and adds to that
    /// of gamma. `plain` are gradients that reach the weights in another way.
    #[inline(always)]
    pub(super) fn write_gradient(&self, grid: &Grid, channel: usize, plain: &[f32]) {
        let (factor, weights) = (self.factor(channel), self.of_channel(channel));
        // SAFETY: the channel's gradients are this thread's.
        let gradients = unsafe { self.gradients(channel) };
        let mut sums = [0.0; SOME];
        let mut replace = |at: usize, gradient: &mut f32, weight: f32, plain: f32| {
            let folded = match grid.passes(weight * factor) {
                true => *gradient,
                false => 0.0,
            };
            sums[at] += f64::from(folded) * f64::from(weight);
            *gradient = folded * factor + plain;
        };
        let (gradients, last_gradients) = gradients.as_chunks_mut::<SOME>();
        let (weights, last_weights) = weights.as_chunks::<SOME>();
        let (plain, last_plain) = plain.as_chunks::<SOME>();
        for ((gradients, weights), plain) in gradients.iter_mut().zip(weights).zip(plain) {
            for at in 0..SOME {
                replace(at, &mut gradients[at], weights[at], plain[at]);
            }
        }
        let last = last_gradients.iter_mut().zip(last_weights).zip(last_plain);
        for (at, ((gradient, &weight), &plain)) in last.enumerate() {
            replace(at, gradient, weight, plain);
        }
        let of_factor: f64 = sums.iter().sum();
        self.add_to_gamma(channel, of_factor);
    }

    /// Whether some of a channel's gradients do not pass, or do not follow from what `y` and `z` do to the
    /// weights together.
    pub(super) fn is_apart(&self, grid: &Grid, channel: usize) -> bool {
        let (least, most) = self.range(channel);
        let passes = grid.passes(least) && grid.passes(most);
        !passes || self.factor(channel) == 0.0
    }

    /// Writes the gradients of a channel's weights from those that they get through `y` and `z` together,
    /// and adds to that of gamma. `through_z` is the sum of `dz * z`. Where a channel
    /// [is apart](Self::is_apart), the gradients of the rounded weights are in their place before.
    #[inline(always)]
    pub(super) fn write_both(&self, grid: &Grid, channel: usize, both: &[f32], through_z: f64) {
        let (factor, weights) = (self.factor(channel), self.of_channel(channel));
        // SAFETY: the channel's gradients are this thread's.
        let gradients = unsafe { self.gradients(channel) };
        let of_factor = if self.is_apart(grid, channel) {
            let mut of_factor = 0.0;
            for ((gradient, &weight), &both) in gradients.iter_mut().zip(weights).zip(both) {
                if grid.passes(weight * factor) {
                    of_factor += f64::from(*gradient) * f64::from(weight);
                    *gradient = both;
                } else {
                    *gradient = both - *gradient * factor;
                }
            }
            of_factor
        } else {
            gradients.copy_from_slice(both);
            // `sum of w * dw` is `sum of dz * z` plus what goes through the factor.
            (dot(weights, both) - through_z) / f64::from(factor)
        };
        self.add_to_gamma(channel, of_factor);
    }

    /// Adds to the gradient of gamma what a channel's folding factor gets.
    #[inline(always)]
    fn add_to_gamma(&self, channel: usize, of_factor: f64) {
        let Some((fold, gamma)) = self.planned.fold.and_then(|fold| Some((fold, fold.gamma?)))
        else {
            return;
        };
        let variance = self.context.parameters[fold.running_variance + channel];
        let of_gamma = of_factor / (f64::from(variance) + self.context.epsilon).sqrt();
        let gamma = self.context.parameter_gradient(gamma + channel);
        // SAFETY: the channel's gradient is this thread's. The part of it that comes through the
        // bias was written before the last barrier.
        unsafe { gamma.write((f64::from(gamma.read()) + of_gamma) as f32) }
    }
}

/// Values that are taken at a time where each would have to wait for the one before.
const SOME: usize = 16;

/// Smallest and largest of the values times a factor. Several are found at a time: each comparison waits
/// for the one before.
#[inline(always)]
fn extremes(values: &[f32], factor: f32) -> [f32; 2] {
    let (mut least, mut most) = ([f32::INFINITY; SOME], [f32::NEG_INFINITY; SOME]);
    let mut extend = |at: usize, value: f32| {
        let value = value * factor;
        least[at] = if value < least[at] { value } else { least[at] };
        most[at] = if value > most[at] { value } else { most[at] };
    };
    let (whole, rest) = values.as_chunks::<SOME>();
    for values in whole {
        for (at, &value) in values.iter().enumerate() {
            extend(at, value);
        }
    }
    for (at, &value) in rest.iter().enumerate() {
        extend(at, value);
    }
    let least = least.into_iter().fold(f32::INFINITY, f32::min);
    [least, most.into_iter().fold(f32::NEG_INFINITY, f32::max)]
}

impl WeightGrids<'_> {
    /// The grid of a channel.
    pub(super) fn get(&self, channel: usize) -> Grid {
        match self {
            Self::OfTensor(grid) => *grid,
            Self::OfChannels(weights) => {
                let (least, most) = weights.range(channel);
                Grid::of_weights(weights.planned.scheme, least, most)
            }
        }
    }
}
