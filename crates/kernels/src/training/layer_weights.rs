//! The weights that a layer multiplies by. Rounded ones are computed where they are read: that costs
//! less than to write all of them to memory and read them again.

use std::borrow::Cow;
use std::ops::Range;

use super::context::PassContext;
use super::planned_layer::PlannedLayer;
use super::planned_weights::PlannedWeights;
use super::rounded_weights::{RoundedWeights, WeightGrids};
use crate::simd::Simd;

/// Weights of a layer, `[channels, depth]`.
pub(super) struct LayerWeights<'a> {
    plain: &'a [f32],
    pub(super) depth: usize,
    rounded: Option<(RoundedWeights<'a>, WeightGrids<'a>)>,
}

/// Some of them. The row of each channel begins `stride` values after the one before.
#[derive(Clone, Copy)]
pub(super) struct WeightRows<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
}

impl<'a> LayerWeights<'a> {
    /// Those of a layer's `y`.
    pub(super) fn of(context: &'a PassContext<'a>, layer: &'a PlannedLayer) -> Self {
        let plain = Self::plain(context, layer);
        plain.rounded(context, layer.rounded.as_ref())
    }

    /// Those of a layer's `z`, which are never rounded.
    pub(super) fn plain(context: &'a PassContext<'a>, layer: &'a PlannedLayer) -> Self {
        Self::new(context.plain_weights(layer), layer.spec.depth())
    }

    pub(super) fn new(plain: &'a [f32], depth: usize) -> Self {
        Self {
            plain,
            depth,
            rounded: None,
        }
    }

    /// The same weights rounded, if `planned` is given, after all threads have measured them.
    pub(super) fn rounded(
        self,
        context: &'a PassContext<'a>,
        planned: Option<&'a PlannedWeights>,
    ) -> Self {
        let rounded = planned.map(|planned| RoundedWeights { context, planned });
        let rounded = rounded.map(|weights| (weights, weights.grids()));
        Self { rounded, ..self }
    }

    pub(super) fn channels(&self) -> usize {
        self.plain.len() / self.depth
    }

    /// Values `k` of some channels. `buffer` has room for them.
    #[inline(always)]
    pub(super) fn rows<'b, S: Simd>(
        &self,
        simd: S,
        channels: Range<usize>,
        k: Range<usize>,
        buffer: &'b mut [f32],
    ) -> WeightRows<'b>
    where
        'a: 'b,
    {
        let Some((weights, grids)) = &self.rounded else {
            let start = channels.start * self.depth + k.start;
            let end = (channels.end - 1) * self.depth + k.end;
            return WeightRows {
                values: &self.plain[start..end],
                stride: self.depth,
            };
        };
        let stride = k.len();
        let values = &mut buffer[..channels.len() * stride];
        for (channel, to) in channels.zip(values.chunks_exact_mut(stride)) {
            weights.round(simd, &grids.get(channel), channel, k.clone(), to);
        }
        WeightRows { values, stride }
    }

    /// All values of some channels.
    #[inline(always)]
    pub(super) fn of_channels<S: Simd>(&self, simd: S, channels: Range<usize>) -> Cow<'a, [f32]> {
        let all = channels.start * self.depth..channels.end * self.depth;
        if self.rounded.is_none() || all.is_empty() {
            return Cow::Borrowed(&self.plain[all]);
        }
        let mut values = vec![0.0; all.len()];
        self.rows(simd, channels, 0..self.depth, &mut values);
        Cow::Owned(values)
    }
}
