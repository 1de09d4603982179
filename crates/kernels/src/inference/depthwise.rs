//! Depthwise convolution. A few vectors of channels are computed for all rows before the next, so
//! that the rows of a window stay in L1 from one output row to the next.

use std::ops::Range;

use super::context::Context;
use super::feature_map::{FeatureMap, MOST_TAPS};
use crate::geometry::ConvSize;
use crate::simd::team::Turn;
use crate::simd::{Simd, depthwise};

/// Most rows of input that are prefetched.
const MOST_AHEAD: usize = 2;

/// Values in a cache line.
const LINE: usize = 16;

/// Values in the rows of a window: half of an L1 of 48 KiB. The other half is for weights, output
/// and what is prefetched. On Zen 5 by AVX-512, 512 channels at 14x14 take 20 us with blocks of
/// this size, 24 us with all channels at once, and 24 us with blocks of half the size.
const WINDOW_VALUES: usize = 6 << 10;

/// A depthwise convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depthwise {
    pub(super) input: FeatureMap,
    pub(super) size: ConvSize,
    /// Offset of the packed weights.
    pub(super) weights: usize,
    pub(super) channels: usize,
    pub(super) bounds: (f32, f32),
    /// Whether a row asks for the input that the next one reads first. At 1.0/224 with one thread that
    /// took 4 % of the time off on Zen 5, before the rows of a window stayed in L1; an Intel Xeon needs
    /// 15 % more for the depthwise layers, 1 % of all.
    pub(super) asks_ahead: bool,
}

impl Depthwise {
    /// Computes output row `y` for some vectors of channels. Pixels are written to `output`,
    /// `stride` values apart.
    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        context: &Context<'_>,
        y: usize,
        vectors: &Range<usize>,
        output: *mut f32,
        stride: usize,
    ) {
        let Self { input, size, .. } = self;
        let channel = vectors.start * S::LANES;
        let taps = size.rows.kernel * size.columns.kernel;
        let mut rows = [std::ptr::null(); MOST_TAPS];
        let rows = &mut rows[..size.rows.kernel];
        for (ky, row) in rows.iter_mut().enumerate() {
            *row = context
                .input_row(input, size.rows.source(y, ky))
                .wrapping_add(channel);
        }
        // The rows that the window of the next output row reads for the first time.
        let mut ahead = [std::ptr::null(); MOST_AHEAD];
        let new = match self.asks_ahead {
            true => size.rows.stride.min(MOST_AHEAD),
            false => 0,
        };
        let last = size.rows.source(y, size.rows.kernel - 1);
        for (index, row) in ahead[..new].iter_mut().enumerate() {
            let next = last.map(|last| (last + 1 + index).min(size.rows.input - 1));
            *row = context.input_row(input, next).wrapping_add(channel);
        }
        let row = depthwise::Row {
            rows,
            ahead: &ahead[..new],
            pixel: input.pixel,
            taps: size.columns.kernel,
            tap_stride: size.columns.dilation * input.pixel,
            column_stride: size.columns.stride * input.pixel,
            weights: context.weights(self.weights + channel * (taps + 1)),
            vectors: vectors.len(),
            columns: size.columns.output,
            bounds: self.bounds,
            output: output.wrapping_add(channel),
            output_stride: stride,
        };
        // SAFETY: the rows are in the input map with its zeros, or in the row of zeros. The
        // schedule made these large enough. These channels of the output row are this chunk's.
        unsafe { depthwise::row(simd, &row) }
    }

    /// Computes some output rows, which are written one after the other without gaps.
    #[inline(always)]
    pub(super) fn rows<S: Simd>(
        &self,
        simd: S,
        context: &Context<'_>,
        rows: &Range<usize>,
        vectors: &Range<usize>,
        output: *mut f32,
        stride: usize,
    ) {
        for (index, y) in rows.clone().enumerate() {
            let output = output.wrapping_add(index * self.size.columns.output * stride);
            self.row(simd, context, y, vectors, output, stride);
        }
    }

    /// Number of input rows that the first `rows` output rows read.
    pub(super) fn input_rows(&self, rows: usize) -> usize {
        let axis = &self.size.rows;
        let reach = rows * axis.stride + (axis.kernel - 1) * axis.dilation + 1;
        reach
            .saturating_sub(axis.stride + axis.before)
            .min(axis.input)
    }

    /// Divides vectors of channels into blocks of whole cache lines. The windows of `parts` blocks fit
    /// into L1 together, or a line of channels is too wide for that. On Zen 3, 64 channels at 112x112
    /// and stride 2 take 0.25 ms with blocks of one vector, which is half a line, and 0.16 ms with two.
    #[inline(always)]
    pub(super) fn blocks<S: Simd>(
        &self,
        vectors: Range<usize>,
        parts: usize,
    ) -> impl Iterator<Item = Range<usize>> {
        let columns = self.input.left + self.input.width + self.input.right;
        let window = self.size.rows.kernel * columns * S::LANES;
        let block = (WINDOW_VALUES / (parts * window)).max(LINE.div_ceil(S::LANES));
        // Of pixels of two lines, either line of all pixels is in the same half of L1.
        let block = if self.input.pixel == 2 * LINE {
            vectors.len().max(1)
        } else {
            block
        };
        let end = vectors.end;
        vectors
            .step_by(block)
            .map(move |first| first..end.min(first + block))
    }

    /// Computes a chunk's rows and writes them to a map.
    #[inline(always)]
    pub(super) fn run<S: Simd>(
        &self,
        simd: S,
        context: &Context<'_>,
        output: &FeatureMap,
        turn: Turn,
    ) {
        let rows = turn.share(output.height);
        context.zero_columns(output, rows.clone());
        for vectors in self.blocks::<S>(0..self.channels.div_ceil(S::LANES), 1) {
            for y in rows.clone() {
                let row = context.pointer(output.at(y, 0));
                self.row(simd, context, y, &vectors, row, output.pixel);
            }
        }
    }
}
