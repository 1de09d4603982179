//! The gradient of a full convolution's input, where that is the map of another layer: a product of
//! patches of `dz`. So a thread writes only its own input pixels.
//!
//! ```text
//! da[p, i] = sum over taps t and o of dz[the output whose tap t reads p, o] * w[o, i, t]
//! ```

use super::context::PassContext;
use super::layer_weights::LayerWeights;
use super::network::{TrainingLayer, TrainingOptions};
use super::offsets::Vectors;
use super::patches::{MapPatches, Side};
use super::planned_layer::PlannedLayer;
use super::source::{Branch, MapGradient, gate_gradient};
use super::statistics::Partial;
use crate::layer::matrix::{LARGEST_BLOCK, Product, UNBOUNDED};
use crate::layer::rows::{Rows, Target};
use crate::layer::{SCRATCH, gap};
use crate::panels::PanelLayout;
use crate::partition::{part, parts};
use crate::simd::Simd;

/// The product for one layer.
#[derive(Debug)]
pub(super) struct InputGradient {
    /// Values of a patch, and from one patch in scratch to the next.
    depth: usize,
    row: usize,
    /// Packed weights, with a column per input channel and a row per value of a patch.
    pub(super) layout: PanelLayout,
    /// Number of blocks of input pixels, and number of pixels of the largest.
    blocks: usize,
    block: usize,
}

impl InputGradient {
    pub(super) fn new(
        layer: &TrainingLayer,
        before: &PlannedLayer,
        vectors: Vectors,
        options: &TrainingOptions,
    ) -> Self {
        let taps: usize = layer.geometry.kernel.iter().product();
        let depth = taps * vectors.width(layer.out_channels);
        let layout = vectors.panels(layer.in_channels, depth);
        let largest = (SCRATCH / depth).clamp(14, LARGEST_BLOCK);
        let blocks = parts(before.pixels, largest, options.threads);
        Self {
            depth,
            row: depth + gap(depth),
            layout,
            blocks,
            block: before.pixels.div_ceil(blocks),
        }
    }

    /// Values of scratch per thread.
    pub(super) fn scratch(&self) -> usize {
        self.block * self.row
    }

    /// Packs the thread's share of the weights.
    #[inline(always)]
    pub(super) fn pack<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        thread: usize,
    ) {
        let spec = &layer.spec;
        let values = LayerWeights::of(context, layer).of_channels(simd, 0..spec.out_channels);
        let taps = self.depth / layer.width;
        let weight = |input: usize, k: usize| {
            let (tap, output) = (k / layer.width, k % layer.width);
            match output < spec.out_channels {
                true => values[output * spec.depth() + input * taps + tap],
                false => 0.0,
            }
        };
        context.pack(&self.layout, weight, thread);
    }

    /// Computes the gradient of the thread's share of the input.
    #[inline(always)]
    pub(super) fn run<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        before: &PlannedLayer,
        partial: &Partial,
        thread: usize,
    ) {
        let scratch = context.scratch(thread);
        let map = MapGradient {
            context,
            layer,
            branch: Branch::Y,
        };
        let patches = MapPatches {
            map,
            vectors: layer.vectors,
            size: &layer.size,
            side: Side::Input,
        };
        for block in part(self.blocks, thread, context.threads) {
            let pixels = part(before.pixels, block, self.blocks);
            let output = context.gradient_before(layer);
            let product = Product {
                input: &[scratch],
                length: self.depth,
                stride: self.row,
                layout: self.layout,
                panels: 0..self.layout.count(),
                weights: context.packed(),
                next: None,
                bias: None,
                bounds: UNBOUNDED,
                output: output.wrapping_add(pixels.start * before.width),
                output_stride: before.width,
            };
            // SAFETY: scratch is this thread's and has room for the patches. The packed weights have
            // a row for each of their values. These pixels of the gradient are this thread's.
            unsafe {
                let target = Target::by_pixels(scratch, self.row, S::LANES);
                patches.load(simd, pixels.clone(), 0..layer.vectors, target);
                product.run(simd, pixels.len());
            }
            gate_gradient(simd, context, before, pixels, partial);
        }
    }
}
