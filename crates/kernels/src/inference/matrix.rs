//! Tiles and panels: divides a matrix product over many pixels into calls of the tile kernel.

use super::context::Context;
use super::feature_map::FeatureMap;
use super::packed::Scheme;
use crate::panels::{self, PanelLayout};
use crate::simd::ahead::{Ahead, Region, Walk};
use crate::simd::weight::Weight;
use crate::simd::{Simd, WeightType, tile};

/// No instruction set has a larger tile.
pub(super) const LARGEST_TILE: usize = 16;

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

/// A panel of a product, and what its tiles prefetch.
pub(super) struct Panel {
    source: Source,
    part: panels::Panel,
    /// The next panel, or the next layer's first.
    next: Ahead,
}

/// One tile of a product.
pub(super) struct Tile<'a> {
    /// Start of each segment, for the first pixel.
    pub(super) segments: &'a [*const f32],
    /// Values in a segment.
    pub(super) length: usize,
    /// Values from a pixel's segment to the next pixel's.
    pub(super) stride: usize,
    /// Where channel 0 of a pixel is written, without the pixel's offset.
    pub(super) output: *mut f32,
    /// The offsets of the output pixels.
    pub(super) offsets: &'a [usize],
    /// Index of the tile.
    pub(super) index: usize,
    /// What it prefetches besides weights.
    pub(super) ahead: Walk,
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

    /// Panel `index`, which is computed in `tiles` tiles.
    #[inline(always)]
    pub(super) fn panel(&self, source: Source, index: usize, tiles: usize) -> Panel {
        let part = self.layout.panel(index);
        let size = self.weight_type.bytes();
        let end = (part.offset() + part.len()) * size;
        let end = source.weights.wrapping_byte_add(end);
        Panel {
            source,
            part,
            next: Region::new(end, part.len() * size).divide(tiles, part.depth),
        }
    }

    /// Computes one tile.
    ///
    /// # Safety
    /// As [`tile::run`].
    #[inline(always)]
    pub(super) unsafe fn tile<S: Simd>(&self, simd: S, panel: &Panel, tile: &Tile<'_>) {
        // SAFETY: the caller guarantees the memory. The weights were packed as `weight_type`.
        unsafe {
            match self.weight_type {
                WeightType::F32 => self.tile_of::<S, f32>(simd, panel, tile),
                #[cfg(feature = "halves")]
                WeightType::F16 => self.tile_of::<S, half::f16>(simd, panel, tile),
                #[cfg(feature = "halves")]
                WeightType::Bf16 => self.tile_of::<S, half::bf16>(simd, panel, tile),
            }
        }
    }

    /// # Safety
    /// As [`tile::run`], and the weights must be packed as `W`.
    #[inline(always)]
    unsafe fn tile_of<S: Simd, W: Weight>(&self, simd: S, panel: &Panel, tile: &Tile<'_>) {
        let part = &panel.part;
        let weights: *const W = panel.source.weights.cast();
        let weights = weights.wrapping_add(part.offset());
        let bias = panel.source.bias.wrapping_add(part.first);
        let kernel = tile::Panel {
            segments: tile.segments,
            length: tile.length,
            stride: tile.stride,
            weights,
            bias,
            bounds: self.bounds,
            output: tile.output.wrapping_add(part.first),
            ahead: [panel.next.of_tile(tile.index), tile.ahead],
        };
        // SAFETY: the caller guarantees input and output. Weights and biases are packed in these
        // sizes.
        unsafe { tile::run(simd, &kernel, part.width / S::LANES, tile.offsets) }
    }
}
