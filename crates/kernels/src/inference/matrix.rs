//! Tiles and panels: how a matrix product over many pixels is cut into calls of the tile kernel.

use half::{bf16, f16};

use super::context::Context;
use super::feature_map::FeatureMap;
use super::packed::Scheme;
use crate::panels::PanelLayout;
use crate::simd::weight::Weight;
use crate::simd::{Simd, WeightType, tile};

/// At least the tile of every instruction set.
pub(super) const LARGEST_TILE: usize = 16;

/// A matrix product.
#[derive(Debug, Clone, Copy)]
pub(super) struct MatrixProduct {
    /// Values between input pixels.
    pub(super) pixel: usize,
    /// Its weights: a column is an output channel.
    pub(super) layout: PanelLayout,
    /// The packed weights and biases.
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
    /// Number of the panel.
    pub(super) panel: usize,
    /// First value of each segment, for the first pixel.
    pub(super) segments: &'a [*const f32],
    /// Values in a segment.
    pub(super) length: usize,
    /// Values between the segments of neighbouring pixels.
    pub(super) stride: usize,
    /// Where channel 0 of a pixel goes, without its offset.
    pub(super) output: *mut f32,
    /// The output pixels.
    pub(super) offsets: &'a [usize],
    /// Which of how many tiles of the panel it is: its share of the prefetching.
    pub(super) turn: (usize, usize),
}

impl MatrixProduct {
    /// Panels, or pairs of panels, that threads can compute independently.
    pub(super) fn panels(&self) -> usize {
        match self.scheme {
            Scheme::Plain => self.layout.count(),
            Scheme::Strassen => self.layout.pairs().count(),
        }
    }

    /// Where the network has them.
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
        // SAFETY: passed on from the caller, with the type in which the weights were packed.
        unsafe {
            match self.weight_type {
                WeightType::F32 => self.tile_of::<S, f32>(simd, tile),
                WeightType::F16 => self.tile_of::<S, f16>(simd, tile),
                WeightType::Bf16 => self.tile_of::<S, bf16>(simd, tile),
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
        // The panel after this one, or the next layer's first, in equal parts by the tiles.
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
        // SAFETY: passed on from the caller; weights and biases are packed to these sizes.
        unsafe { tile::run(simd, &panel, part.width / S::LANES, tile.offsets) }
    }
}
