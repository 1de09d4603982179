//! Convolutions as products of matrices: windows are gathered, or computed by a depthwise
//! convolution, in bands of pixels, and each band is multiplied by all weights.

use std::ops::Range;

use super::context::Context;
use super::depthwise::Depthwise;
use super::map::Map;
use super::packed::{PackedLayer, PackedMatrix, PackedOperation};
use crate::simd::cursor::Cursor;
use crate::simd::integer::matrix::{self, Panel};
use crate::simd::integer::{IntegerKernel, IntegerSimd, Products};
use crate::simd::team::Turn;

/// A convolution.
#[derive(Debug)]
pub(super) struct Convolution {
    pub(super) source: Source,
    /// Index of its layer.
    pub(super) layer: usize,
    /// How its kernel multiplies.
    pub(super) products: Products,
    /// Pixels in a band.
    pub(super) band: usize,
    pub(super) output: Map,
}

/// Where the left operands come from.
#[derive(Debug)]
pub(super) enum Source {
    /// Windows of a map.
    Windows {
        input: Map,
        stride: usize,
        /// Offset in the window, and length, of what is contiguous.
        runs: Vec<[usize; 2]>,
    },
    /// The output of a depthwise convolution, which is kept nowhere else.
    Depthwise(Depthwise),
}

/// Bytes copied at a time. So many are readable and writable beyond every window.
pub(super) const CHUNK: usize = 16;

/// A chunk of the work.
pub(super) struct Run<'a> {
    pub(super) convolution: &'a Convolution,
    pub(super) context: &'a Context<'a>,
    pub(super) turn: Turn,
}

impl IntegerKernel for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: IntegerSimd>(self, simd: S) {
        let Self {
            convolution,
            context,
            turn,
        } = self;
        let PackedOperation::Matrix(matrix) = &context.layers[convolution.layer].operation else {
            return;
        };
        let map = &convolution.output;
        context.write_border(map, turn);
        let pixels = map.height * map.width;
        // If there are few pixels, chunks share the output channels, and each gathers all pixels.
        let (pixels, panels) = match pixels < 2 * turn.chunks {
            true => (0..pixels, turn.share(matrix.panels.len())),
            false => (turn.share(pixels), 0..matrix.panels.len()),
        };
        let values: *mut S::Value = context.scratch(turn.worker).cast();
        let blocks = simd.begin_blocks(matrix.stride);
        let mut band = pixels.start..pixels.start;
        while band.end < pixels.end {
            band = band.end..(band.end + convolution.band).min(pixels.end);
            convolution.gather(simd, context, band.clone(), values, matrix.stride);
            for index in panels.clone() {
                convolution.multiply(simd, context, matrix, index, band.clone(), (values, blocks));
            }
        }
        if blocks.is_some() {
            simd.end_blocks();
        }
    }
}

/// Multiply-adds of a chunk, at least: 20 to 100 microseconds. A thread that loses its core holds up
/// the others for a chunk.
const LEAST_PRODUCTS: usize = 8 << 20;

/// Pixels of a chunk, at least. Each reads all weights.
const LEAST_PIXELS: usize = 64;

/// Most chunks per thread.
const MOST_ROUNDS: usize = 4;

impl Convolution {
    /// Chunks per thread.
    pub(super) fn rounds(&self, layers: &[PackedLayer], threads: usize) -> usize {
        let PackedOperation::Matrix(matrix) = &layers[self.layer].operation else {
            return 1;
        };
        if threads == 1 {
            return 1;
        }
        let pixels = self.output.height * self.output.width;
        let products = pixels * matrix.stride * matrix.out_channels;
        let rounds = (products / LEAST_PRODUCTS).min(pixels / LEAST_PIXELS) / threads;
        rounds.clamp(1, MOST_ROUNDS)
    }

    /// Fills the left operands of a band, `[pixels, stride]`.
    #[inline(always)]
    fn gather<S: IntegerSimd>(
        &self,
        simd: S,
        context: &Context<'_>,
        band: Range<usize>,
        values: *mut S::Value,
        stride: usize,
    ) {
        match &self.source {
            Source::Depthwise(depthwise) => {
                depthwise.values(simd, context, band, values, stride);
            }
            Source::Windows {
                input,
                stride: step,
                runs,
            } => {
                let width = self.output.width;
                let (mut y, mut x) = (band.start / width, band.start % width);
                for row in 0..band.len() {
                    let window = context.pointer(input.window(y, x, *step));
                    (y, x) = if x + 1 == width {
                        (y + 1, 0)
                    } else {
                        (y, x + 1)
                    };
                    let mut to = values.wrapping_add(row * stride);
                    for &[offset, len] in runs {
                        // SAFETY: the window is in the map, the pixel's values are in the scratch,
                        // and both have room for a chunk more.
                        unsafe { copy(window.add(offset), to, len) }
                        to = to.wrapping_add(len);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn multiply<S: IntegerSimd>(
        &self,
        simd: S,
        context: &Context<'_>,
        matrix: &PackedMatrix,
        index: usize,
        band: Range<usize>,
        (values, blocks): (*const S::Value, Option<usize>),
    ) {
        let map = &self.output;
        let part = &matrix.panels[index];
        let column = band.start % map.width;
        let at = context.pointer(map.at(band.start / map.width, column) + part.first);
        let weights: *const S::Weight = matrix.weights.as_slice().as_ptr().cast();
        let panel = Panel::<S> {
            values,
            pixels: band.len(),
            stride: matrix.stride,
            weights: weights.wrapping_add(part.weights),
            extra: &matrix.extra[part.extra.clone()],
            start: matrix.sums.start[part.first..].as_ptr(),
            rounding: Some(matrix.sums.rounding()),
            blocks,
            first: part.first,
            channels: part.channels,
            output: Cursor {
                at,
                column,
                columns: map.width,
                pixel: map.channels,
                gap: map.row() - (map.width - 1) * map.channels,
            },
        };
        // SAFETY: the packer has laid out the weights, the band was gathered, and the pixels (or
        // these channels of them) are this chunk's.
        unsafe { matrix::run(simd, &panel) }
    }
}

/// Copies bytes as values, in whole chunks.
///
/// # Safety
/// `len` and up to a chunk more must be readable and writable.
#[inline(always)]
unsafe fn copy<V: Copy + From<u8>>(from: *const u8, to: *mut V, len: usize) {
    for start in (0..len).step_by(CHUNK) {
        // SAFETY: the caller's guarantee. Bytes are read and values written unaligned.
        unsafe {
            let bytes = from.add(start).cast::<[u8; CHUNK]>().read_unaligned();
            to.add(start)
                .cast::<[V; CHUNK]>()
                .write_unaligned(bytes.map(V::from));
        }
    }
}
