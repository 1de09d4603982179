//! Tiles and panels: divides a matrix product over many pixels into calls of the tile kernel.

use std::ops::Range;

use super::context::Context;
use super::feature_map::FeatureMap;
use super::packed::Scheme;
use crate::panels::{self, PanelLayout};
use crate::simd::ahead::{Ahead, Region};
use crate::simd::cursor::Cursor;
use crate::simd::weight::Weight;
use crate::simd::{Simd, WeightType, tile};

/// A matrix product.
#[derive(Debug, Clone, Copy)]
pub(super) struct MatrixProduct {
    /// Values from an input pixel to the next.
    pub(super) pixel: usize,
    /// Layout of its weights. A column is an output channel.
    pub(super) layout: PanelLayout,
    /// How its weights are packed, and where they and the biases are.
    pub(super) weight_type: WeightType,
    pub(super) scheme: Scheme,
    pub(super) weights: usize,
    pub(super) bias: usize,
    pub(super) bounds: (f32, f32),
    pub(super) output: FeatureMap,
}

/// The packed weights and biases of a product.
#[derive(Clone, Copy)]
pub(super) struct Source {
    pub(super) weights: *const f32,
    pub(super) bias: *const f32,
}

/// Panels of a product, of equal width, that each tile of pixels is multiplied by.
pub(super) struct Panels {
    source: Source,
    first: panels::Panel,
    count: usize,
    /// What their tiles prefetch: the next panels, or the next layer's first.
    next: Ahead,
}

/// Pixels that are multiplied.
pub(super) struct Pixels<'a> {
    /// Start of each segment, for the first pixel.
    pub(super) segments: &'a [*const f32],
    /// Values in a segment.
    pub(super) length: usize,
    /// Values from a pixel's segment to the next pixel's.
    pub(super) stride: usize,
    pub(super) count: usize,
    /// Where channel 0 is written.
    pub(super) output: Cursor<f32>,
    /// Number of tiles before them.
    pub(super) tiles: usize,
    /// What they prefetch besides weights.
    pub(super) ahead: Ahead,
}

impl MatrixProduct {
    /// Multiply-adds, about.
    pub(super) fn multiply_adds(&self) -> usize {
        let FeatureMap {
            height,
            width,
            channels,
            ..
        } = self.output;
        height * width * channels * self.layout.depth()
    }

    /// Number of panels, or of pairs of panels, that threads can compute independently.
    pub(super) fn panels(&self) -> usize {
        match self.scheme {
            Scheme::Plain => self.layout.count(),
            Scheme::Strassen => self.layout.pairs().count(),
        }
    }

    /// The weights and biases of the network.
    #[inline(always)]
    pub(super) fn source(&self, context: &Context<'_>) -> Source {
        Source {
            weights: context.weights(self.weights),
            bias: context.weights(self.bias),
        }
    }

    /// The first of some panels, and those of equal width that follow, which are multiplied by `tiles`
    /// tiles.
    #[inline(always)]
    pub(super) fn panels_of(&self, source: Source, range: Range<usize>, tiles: usize) -> Panels {
        let first = self.layout.panel(range.start);
        // Only the last panel of all may be narrower.
        let last = self.layout.panel(range.end - 1);
        let count = range.len() - usize::from(last.width < first.width);
        let bytes = count * first.len() * self.weight_type.bytes();
        let start = first.offset() * self.weight_type.bytes();
        let end = source.weights.wrapping_byte_add(start + bytes);
        Panels {
            source,
            first,
            count,
            next: Region::new(end, bytes).divide(count * tiles, first.depth),
        }
    }

    /// Multiplies pixels by some panels.
    ///
    /// # Safety
    /// As [`tile::run`].
    #[inline(always)]
    pub(super) unsafe fn multiply<S: Simd>(&self, simd: S, panels: &Panels, pixels: &Pixels<'_>) {
        // SAFETY: the caller guarantees the memory. The weights were packed as `weight_type`.
        unsafe {
            match self.weight_type {
                WeightType::F32 => self.multiply_of::<S, f32>(simd, panels, pixels),
                #[cfg(feature = "halves")]
                WeightType::F16 => self.multiply_of::<S, half::f16>(simd, panels, pixels),
                #[cfg(feature = "halves")]
                WeightType::Bf16 => self.multiply_of::<S, half::bf16>(simd, panels, pixels),
            }
        }
    }

    /// # Safety
    /// As [`tile::run`], and the weights must be packed as `W`.
    #[inline(always)]
    unsafe fn multiply_of<S: Simd, W: Weight>(
        &self,
        simd: S,
        panels: &Panels,
        pixels: &Pixels<'_>,
    ) {
        let first = &panels.first;
        let weights: *const W = panels.source.weights.cast();
        let block = tile::Block {
            segments: pixels.segments,
            length: pixels.length,
            stride: pixels.stride,
            pixels: pixels.count,
            panels: panels.count,
            vectors: first.width / S::LANES,
            weights: weights.wrapping_add(first.offset()),
            bias: panels.source.bias.wrapping_add(first.first),
            bounds: self.bounds,
            output: pixels.output.channel(first.first),
            ahead: [panels.next.starting_at(pixels.tiles), pixels.ahead],
        };
        // SAFETY: the caller guarantees input and output. Weights and biases are packed in these
        // sizes.
        unsafe { tile::run(simd, &block) }
    }
}

impl Panels {
    /// Number of panels.
    pub(super) fn count(&self) -> usize {
        self.count
    }
}
