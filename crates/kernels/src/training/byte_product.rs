//! The product of a rounded input with rounded weights, in integers: exact, and where a processor
//! multiplies bytes, in a fraction of the time.
//!
//! ```text
//! y[p, o] = input's scale * weights' scale[o] * sum over k of (x[p, k] - x0) * (w[k, o] - w0)
//! ```
//!
//! `w - 128` fits 8 bits, and `w - w0` may not. So sums are those of `w - 128`, and where `w0` is not 128
//! (it is, if each channel has its scale), a pixel's sum of `x - x0` times `128 - w0` is added.

use super::activation_range;
use super::byte_weights::{MIDDLE, PlannedBytes, inverse};
use super::context::PassContext;
use super::planned_layer::PlannedLayer;
use super::rounded_weights::{RoundedWeights, WeightGrids};
use crate::fake_quantization::Grid;
use crate::simd::cursor::Cursor;
use crate::simd::integer::matrix::{self, Panel};
use crate::simd::integer::{IntegerKernel, IntegerSimd, dispatch};

/// The product of a layer during a forward pass.
pub(super) struct ByteProduct<'a> {
    planned: &'a PlannedBytes,
    context: &'a PassContext<'a>,
    input: Grid,
    /// `128 - w0`.
    to_middle: i32,
    /// In scratch: a block's pixels, their sums, and for each channel a factor and what sums begin with.
    values: *mut f32,
    pixel_sums: *mut i32,
    factors: *mut f32,
    starts: *mut i32,
    /// What the sums of pixels begin with, for a vector.
    ones_start: *mut i32,
}

impl<'a> ByteProduct<'a> {
    /// Prepares the thread's scratch, for blocks of some pixels.
    pub(super) fn new(
        planned: &'a PlannedBytes,
        context: &'a PassContext<'a>,
        layers: [&PlannedLayer; 2],
        scratch: *mut f32,
        block: usize,
    ) -> Option<Self> {
        let [before, layer] = layers;
        let input = activation_range::grid(context, before)?;
        let rounded = RoundedWeights {
            context,
            planned: layer.rounded.as_ref()?,
        };
        let grids = rounded.grids();
        let to_middle = match &grids {
            WeightGrids::OfTensor(grid) => MIDDLE - i32::from(grid.zero_point()),
            WeightGrids::OfChannels(_) => 0,
        };
        let pixel_sums = scratch.wrapping_add(planned.values(block));
        let factors = pixel_sums.wrapping_add(block * planned.sizes.lanes);
        let row = planned.width.next_multiple_of(16);
        let starts: *mut i32 = factors.wrapping_add(row).cast();
        let ones_start = starts.wrapping_add(row);
        let product = Self {
            planned,
            context,
            input,
            to_middle,
            values: scratch,
            pixel_sums: pixel_sums.cast(),
            factors,
            starts,
            ones_start,
        };
        let zero = dispatch(planned.products, Offset) - i32::from(input.zero_point());
        for output in 0..planned.width {
            let scale = match output < planned.outputs {
                true => input.scale() * grids.get(output).scale(),
                false => 0.0,
            };
            let sums: *const i32 = context.pointer(planned.weight_sums).cast_const().cast();
            // SAFETY: scratch is this thread's and has room for the channels. All threads have written
            // the sums of weights before the barrier.
            unsafe {
                factors.add(output).write(scale);
                starts
                    .add(output)
                    .write(zero.wrapping_mul(sums.add(output).read()));
            }
        }
        let start = zero.wrapping_mul(planned.depth as i32);
        for lane in 0..planned.sizes.lanes {
            // SAFETY: as above.
            unsafe { ones_start.add(lane).write(start) }
        }
        Some(product)
    }

    /// Computes the outputs of a block of pixels, which is stored by vectors.
    ///
    /// # Safety
    /// The block must be readable, and the output's pixels this thread's.
    pub(super) unsafe fn run(
        &self,
        input: *const f32,
        [count, block]: [usize; 2],
        output: *mut f32,
        output_stride: usize,
    ) {
        let multiply = Multiply {
            product: self,
            input,
            count,
            block,
            output,
            output_stride,
        };
        dispatch(self.planned.products, multiply);
    }
}

/// What instructions subtract from bytes.
struct Offset;

impl IntegerKernel for Offset {
    type Output = i32;

    #[inline(always)]
    fn run<S: IntegerSimd>(self, _: S) -> i32 {
        S::OFFSET
    }
}

struct Multiply<'a> {
    product: &'a ByteProduct<'a>,
    input: *const f32,
    count: usize,
    block: usize,
    output: *mut f32,
    output_stride: usize,
}

impl IntegerKernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: IntegerSimd>(self, simd: S) {
        let planned = self.product.planned;
        // SAFETY: `ByteProduct::run`'s caller guarantees the memory of this block; scratch has room for
        // its values and sums, and the weights were packed.
        unsafe {
            self.quantize(simd);
            if self.product.to_middle != 0 {
                let pixel = S::LANES * size_of::<i32>();
                let output = Cursor::of_row(self.product.pixel_sums.cast(), pixel);
                let weights = self.product.context.pointer(planned.ones);
                let start = self.product.ones_start;
                self.multiply(simd, (weights.cast(), start), [0, S::LANES], None, output);
            }
            let blocks = simd.begin_blocks(planned.stride);
            let panel = S::PANEL * S::LANES;
            for first in (0..planned.width).step_by(panel) {
                let channels = panel.min(planned.width - first);
                let weights: *const S::Weight =
                    self.product.context.pointer(planned.weights).cast();
                let weights = weights.wrapping_add(first * planned.stride);
                let start = self.product.starts.wrapping_add(first);
                let at: *mut u8 = self.output.wrapping_add(first).cast();
                let output = Cursor::of_row(at, self.output_stride * size_of::<f32>());
                self.multiply(simd, (weights, start), [first, channels], blocks, output);
            }
            if blocks.is_some() {
                simd.end_blocks();
            }
            self.scale();
        }
    }
}

impl Multiply<'_> {
    /// # Safety
    /// As [`ByteProduct::run`].
    #[inline(always)]
    unsafe fn quantize<S: IntegerSimd>(&self, simd: S) {
        let ByteProduct {
            planned,
            input: grid,
            values,
            ..
        } = self.product;
        let (inverse, zero) = (inverse(grid), i32::from(grid.zero_point()));
        let values: *mut S::Value = values.cast();
        for vector in 0..planned.depth.div_ceil(S::LANES) {
            let channel = vector * S::LANES;
            let lanes = S::LANES.min(planned.depth - channel);
            for p in 0..self.count {
                // SAFETY: the caller's guarantee; scratch has room for the values.
                unsafe {
                    let from = self.input.add((vector * self.block + p) * S::LANES);
                    let bytes = simd.quantize(from, inverse, zero);
                    simd.store_values(values.add(p * planned.stride + channel), bytes, lanes);
                }
            }
        }
    }

    /// # Safety
    /// As [`ByteProduct::run`]; weights and output must be of these channels.
    #[inline(always)]
    unsafe fn multiply<S: IntegerSimd>(
        &self,
        simd: S,
        (weights, start): (*const S::Weight, *const i32),
        [first, channels]: [usize; 2],
        blocks: Option<usize>,
        output: Cursor<u8>,
    ) {
        let panel = Panel::<S> {
            values: self.product.values.cast_const().cast(),
            pixels: self.count,
            stride: self.product.planned.stride,
            weights,
            extra: &[],
            start,
            rounding: None,
            blocks,
            first,
            channels,
            output,
        };
        // SAFETY: the caller's guarantee.
        unsafe { matrix::run(simd, &panel) }
    }

    /// Replaces the sums by the outputs.
    ///
    /// # Safety
    /// As [`ByteProduct::run`].
    #[inline(always)]
    unsafe fn scale(&self) {
        let ByteProduct {
            planned,
            to_middle,
            pixel_sums,
            factors,
            ..
        } = *self.product;
        for p in 0..self.count {
            // SAFETY: the caller's guarantee; there are a factor for each channel and a sum for each
            // pixel, if one is needed.
            unsafe {
                let of_pixel = match to_middle {
                    0 => 0,
                    _ => to_middle.wrapping_mul(pixel_sums.add(p * planned.sizes.lanes).read()),
                };
                let row = self.output.add(p * self.output_stride);
                for output in 0..planned.width {
                    let sum = row.add(output).cast::<i32>().read().wrapping_add(of_pixel);
                    row.add(output)
                        .write(sum as f32 * factors.add(output).read());
                }
            }
        }
    }
}
