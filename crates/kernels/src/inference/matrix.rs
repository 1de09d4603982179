//! Tiles and panels: divides a matrix product over many pixels into calls of the tile kernel.

use super::context::Context;
use super::feature_map::FeatureMap;
use super::packed::Scheme;
use crate::panels::PanelLayout;
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

/// One tile of a product.
pub(super) struct Tile<'a> {
    pub(super) source: Source,
    /// Index of the panel.
    pub(super) panel: usize,
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
    /// Index of the tile, and number of tiles of the panel: each prefetches an equal part.
    pub(super) turn: (usize, usize),
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

    /// Computes one tile.
    ///
    /// # Safety
    /// As [`tile::run`].
    #[inline(always)]
    pub(super) unsafe fn tile<S: Simd>(&self, simd: S, tile: &Tile<'_>) {
        // SAFETY: the caller guarantees the memory. The weights were packed as `weight_type`.
        unsafe {
            match self.weight_type {
                WeightType::F32 => self.tile_of::<S, f32>(simd, tile),
                #[cfg(feature = "halves")]
                WeightType::F16 => self.tile_of::<S, half::f16>(simd, tile),
                #[cfg(feature = "halves")]
                WeightType::Bf16 => self.tile_of::<S, half::bf16>(simd, tile),
            }
        }
    }

    /// # Safety
    /// As [`tile::run`], and the weights must be packed as `W`.
    #[inline(always)]
    unsafe fn tile_of<S: Simd, W: Weight>(&self, simd: S, tile: &Tile<'_>) {
        let part = self.layout.panel(tile.panel);
        let weights: *const W = tile.source.weights.cast();
        let weights = weights.wrapping_add(part.offset());
        // Each tile prefetches an equal part of the next panel, or of the next layer's first.
        let (turn, turns) = tile.turn;
        let ahead = weights.wrapping_add(part.len() + part.len() * turn / turns);
        let panel = tile::Panel {
            segments: tile.segments,
            length: tile.length,
            stride: tile.stride,
            weights,
            bias: tile.source.bias.wrapping_add(part.first),
            bounds: self.bounds,
            output: tile.output.wrapping_add(part.first),
            prefetch: (ahead, part.width / turns),
        };
        // SAFETY: the caller guarantees input and output. Weights and biases are packed in these
        // sizes.
        unsafe { tile::run(simd, &panel, part.width / S::LANES, tile.offsets) }
    }
}
