//! Rounded weights as integers, in the order in which products of bytes read them.
//!
//! What is kept is `w - 128`, which fits 8 bits, while `w` minus its zero point may not.

use super::context::PassContext;
use super::offsets::{Offsets, Vectors};
use super::planned_layer::PlannedLayer;
use super::rounded_weights::{RoundedWeights, WeightGrids};
use crate::fake_quantization::Grid;
use crate::partition::part;
use crate::simd::integer::{BLOCK, IntegerKernel, IntegerSimd, Products, Weight, dispatch};

/// What is subtracted from weights.
pub(super) const MIDDLE: i32 = 128;

/// Values of `k` whose weights are packed at a time.
const SOME: usize = 64;

/// Offsets of what the product of a layer needs.
#[derive(Debug)]
pub(super) struct PlannedBytes {
    pub(super) products: Products,
    pub(super) sizes: Sizes,
    /// Values of a pixel; and in whole steps.
    pub(super) depth: usize,
    pub(super) stride: usize,
    /// Output channels; and in whole vectors.
    pub(super) outputs: usize,
    pub(super) width: usize,
    /// Offset of the weights, in panels; of a vector of ones as such a panel; of each output channel's
    /// sum of weights.
    pub(super) weights: usize,
    pub(super) ones: usize,
    pub(super) weight_sums: usize,
}

/// Sizes that depend on the instructions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) lanes: usize,
    depth: usize,
    /// Bytes of a value and of a weight.
    value: usize,
    weight: usize,
}

struct Measure;

impl IntegerKernel for Measure {
    type Output = Sizes;

    #[inline(always)]
    fn run<S: IntegerSimd>(self, _: S) -> Sizes {
        Sizes {
            lanes: S::LANES,
            depth: S::DEPTH,
            value: size_of::<S::Value>(),
            weight: size_of::<S::Weight>(),
        }
    }
}

/// Room for a number of bytes, as values of the arena.
fn room(bytes: usize) -> usize {
    bytes.div_ceil(size_of::<f32>()).next_multiple_of(16)
}

impl PlannedBytes {
    /// For a matrix of `outputs` columns of `depth` values, if that is faster than in f32.
    pub(super) fn new(
        depth: usize,
        outputs: usize,
        vectors: Vectors,
        offsets: &mut Offsets,
    ) -> Option<Self> {
        let products = vectors.bytes?;
        let sizes = dispatch(products, Measure);
        // The map's vectors are stored whole.
        if sizes.lanes != vectors.lanes {
            return None;
        }
        let (stride, width) = (depth.next_multiple_of(sizes.depth), vectors.width(outputs));
        Some(Self {
            products,
            sizes,
            depth,
            stride,
            outputs,
            width,
            weights: offsets.take(room(width * stride * sizes.weight)),
            ones: offsets.take(room(sizes.lanes * stride * sizes.weight)),
            weight_sums: offsets.take(width),
        })
    }

    /// Values of scratch per thread, for blocks of some pixels: their values, their sums, and for each
    /// channel a factor and what its sums begin with.
    pub(super) fn scratch(&self, block: usize) -> usize {
        self.values(block) + block * self.sizes.lanes + 3 * self.width.next_multiple_of(16)
    }

    /// Values of the arena for those of a block's pixels. The last pixels are read in blocks.
    pub(super) fn values(&self, block: usize) -> usize {
        room((block + BLOCK) * self.stride * self.sizes.value)
    }

    /// Packs the thread's share of the rounded weights.
    pub(super) fn pack(&self, context: &PassContext<'_>, layer: &PlannedLayer, thread: usize) {
        let Some(rounded) = &layer.rounded else {
            return;
        };
        let rounded = RoundedWeights {
            context,
            planned: rounded,
        };
        let pack = Pack {
            planned: self,
            context,
            weights: rounded,
            grids: &rounded.grids(),
            thread,
        };
        dispatch(self.products, pack);
    }
}

struct Pack<'a> {
    planned: &'a PlannedBytes,
    context: &'a PassContext<'a>,
    weights: RoundedWeights<'a>,
    grids: &'a WeightGrids<'a>,
    thread: usize,
}

impl IntegerKernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: IntegerSimd>(self, _: S) {
        let Self {
            planned,
            context,
            weights,
            grids,
            thread,
        } = self;
        let (depth, stride) = (planned.depth, planned.stride);
        let panel = S::PANEL * S::LANES;
        if thread == 0 {
            let ones: *mut S::Weight = context.pointer(planned.ones).cast();
            for k in 0..depth {
                for lane in 0..S::LANES {
                    let step = k / S::DEPTH * S::LANES * S::DEPTH;
                    let place = step + S::packed(lane, k % S::DEPTH);
                    // SAFETY: only this thread writes them, and there is room.
                    unsafe { ones.add(place).write(S::Weight::nearest(1)) }
                }
            }
        }
        for index in part(planned.width.div_ceil(panel), thread, context.threads) {
            let first = index * panel;
            let lanes = panel.min(planned.width - first);
            let to: *mut S::Weight = context.pointer(planned.weights).cast();
            let to = to.wrapping_add(first * stride);
            for lane in 0..lanes.min(planned.outputs - first) {
                let grid = grids.get(first + lane);
                let factor = weights.factor(first + lane);
                let row = weights.of_channel(first + lane);
                let to = to.wrapping_add(lane / S::LANES * S::LANES * S::DEPTH);
                let mut sum = 0i32;
                let mut start = 0;
                while start < depth {
                    let count = (depth - start).min(SOME);
                    let mut levels = [S::Weight::nearest(0); SOME];
                    let row = &row[start..start + count];
                    // Loops without iterators, which are compiled for the instruction set.
                    for k in 0..count {
                        let level = grid.level_by_bits(row[k] * factor) - MIDDLE;
                        levels[k] = S::Weight::nearest(level);
                        sum += level;
                    }
                    // What follows the last weight is 0.
                    for step in 0..count.div_ceil(S::DEPTH) {
                        let to = to.wrapping_add((start / S::DEPTH + step) * lanes * S::DEPTH);
                        for k in 0..S::DEPTH {
                            let weight = levels[step * S::DEPTH + k];
                            // SAFETY: the arena has room for the panel, which is this thread's.
                            unsafe { to.add(S::packed(lane % S::LANES, k)).write(weight) }
                        }
                    }
                    start += count;
                }
                // SAFETY: the channel is this thread's.
                unsafe {
                    context
                        .pointer(planned.weight_sums + first + lane)
                        .cast::<i32>()
                        .write(sum);
                }
            }
        }
    }
}

/// Steps of a grid in 1; 0 if its range is empty.
pub(super) fn inverse(grid: &Grid) -> f32 {
    match grid.scale() {
        0.0 => 0.0,
        scale => 1.0 / scale,
    }
}
