//! Statistics of a layer's `z` where nothing else needs `z`: with rounded weights. As `z` is linear in
//! the layer's input `a` (of the first layer, in its patches), they follow from the mean `m` and the
//! covariance `C` of `a` over the `n` pixels of the batch. So `z` is never computed:
//!
//! ```text
//! forward   V = W C                mean(z) = W m        variance(z[o]) = V[o] . w[o]
//! backward  dz = slope * z + offset, with one slope and offset a channel:
//!           M = W^T slope W        da[p] = a[p] M + offset W
//!                                  dw[o] = n slope V[o] + n (offset + slope * mean(z)) m
//! ```
//!
//! Of the symmetric sums over pixels only one triangle is computed. That takes `n k k / 2` products for
//! `k` channels, and `da` takes `n k k`, where convolutions of `o` channels take `2 n k o`.

use super::context::PassContext;
use super::planned_covariance::{BLOCK, PlannedCovariance, triangle};
use super::planned_layer::{Coefficient, PlannedLayer};
use crate::layer::matrix::{Outer, OuterRows, Product, UNBOUNDED};
use crate::panels::{Panel, PanelLayout};
use crate::partition::part;
use crate::simd::part::load_part;
use crate::simd::{Simd, normalization};

/// The covariance of a layer's input during a pass.
#[derive(Clone, Copy)]
pub(super) struct Covariance<'a> {
    context: &'a PassContext<'a>,
    layer: &'a PlannedLayer,
    planned: &'a PlannedCovariance,
}

impl<'a> Covariance<'a> {
    /// Of a layer whose `z` is not computed.
    pub(super) fn of(context: &'a PassContext<'a>, layer: &'a PlannedLayer) -> Option<Self> {
        let planned = layer.covariance.as_ref()?;
        Some(Self {
            context,
            layer,
            planned,
        })
    }

    /// Whether threads divide the sums by panels, so that each needs all pixels.
    pub(super) fn is_divided(&self) -> bool {
        self.planned.splits_panels
    }

    /// Adds a block of pixels of the input, which is stored by vectors, to the thread's means, after
    /// `seen` others.
    ///
    /// # Safety
    /// The block must be readable.
    #[inline(always)]
    pub(super) unsafe fn add_means<S: Simd>(
        &self,
        simd: S,
        input: *const f32,
        [count, block]: [usize; 2],
        seen: usize,
        thread: usize,
    ) {
        let Self {
            context, planned, ..
        } = *self;
        let means = context.pointer(context.shared.input_means.of(thread));
        let deviations = means.wrapping_add(planned.width);
        // SAFETY: count, means and deviations are this thread's. What another layer left would change
        // how the first block is rounded.
        unsafe {
            if seen == 0 {
                means.write_bytes(0, 2 * planned.width);
            }
            means
                .add(planned.count_place())
                .write((seen + count) as f32)
        }
        for channel in (0..planned.width).step_by(S::LANES) {
            // SAFETY: the caller guarantees the input; the means are this thread's, with room for the
            // widest input.
            unsafe {
                normalization::statistics(
                    simd,
                    input.wrapping_add(channel * block),
                    S::LANES,
                    count,
                    1,
                    seen as f32,
                    means.wrapping_add(channel),
                    deviations.wrapping_add(channel),
                );
            }
        }
    }

    /// Adds the products of a block of pixels, which is stored by vectors, to the sums of some panels.
    ///
    /// # Safety
    /// The block must be readable, and the sums of these panels this thread's.
    #[inline(always)]
    pub(super) unsafe fn add_products<S: Simd>(
        &self,
        simd: S,
        input: *const f32,
        [count, block]: [usize; 2],
        add: bool,
        thread: usize,
    ) {
        let Self {
            context, planned, ..
        } = *self;
        let own = planned.own_panels(thread, context.threads);
        let sums = Outer {
            left: input,
            right: input,
            count,
            block,
            layout: planned.layout,
            rows: OuterRows::Triangle(0),
            sums: context.weight_sums(if own.is_some() { 0 } else { thread }),
            panels: own.unwrap_or(0..planned.layout.count()),
            add,
        };
        // SAFETY: the caller guarantees the block and the sums.
        unsafe { sums.run(simd) }
    }

    /// Computes the means, the covariance and `V`, after all threads have added their blocks. Threads
    /// wait for each other.
    #[inline(always)]
    pub(super) fn finish<S: Simd>(&self, simd: S, thread: usize) {
        let Self {
            context, planned, ..
        } = *self;
        let panels = planned.layout.count();
        for index in triangle(panels, thread, context.threads) {
            self.finish_panel(planned.layout.panel(index));
        }
        context.wait();
        let covariance = context.pointer(context.shared.covariance);
        for index in part(panels, thread, context.threads) {
            mirror(simd, covariance, &planned.layout, 0, index);
        }
        context.wait();
        let own = part(planned.outputs, thread, context.threads);
        let weights = self.all_weights()[own.start * planned.channels..].as_ptr();
        let product = Product {
            input: &[weights],
            length: planned.channels,
            stride: planned.channels,
            layout: planned.layout,
            panels: 0..planned.layout.count(),
            weights: context.pointer(context.shared.covariance),
            next: None,
            bias: None,
            bounds: UNBOUNDED,
            output: context.pointer(planned.product + own.start * planned.width),
            output_stride: planned.width,
        };
        // SAFETY: the weights have these rows, the covariance as many columns, and these rows of `V`
        // are this thread's.
        unsafe { product.run(simd, own.len()) }
        context.wait();
    }

    /// Means of a panel's channels, and the triangle of their covariance.
    #[inline(always)]
    fn finish_panel(&self, panel: Panel) {
        let Self {
            context,
            layer,
            planned,
        } = *self;
        let share = 1.0 / layer.pixels as f64;
        let copies = match planned.splits_panels {
            true => 1,
            false => context.threads,
        };
        let means: Vec<f64> = (0..panel.first + panel.width)
            .map(|k| self.mean_of_threads(k))
            .collect();
        let own = &means[panel.first..panel.first + panel.columns];
        let mut row = [0.0; LARGEST_PANEL];
        let row = &mut row[..panel.columns];
        for (k, &mean) in means.iter().enumerate() {
            row.fill(0.0);
            let start = panel.offset() + panel.row(k).start;
            for copy in 0..copies {
                let sums = context.weight_sums(copy).wrapping_add(start).cast_const();
                // SAFETY: all threads have written their sums before the barrier.
                let sums = unsafe { std::slice::from_raw_parts(sums, panel.columns) };
                for (row, &sum) in row.iter_mut().zip(sums) {
                    *row += f64::from(sum);
                }
            }
            let to = context.pointer(context.shared.covariance + start);
            // SAFETY: the panel of the covariance is this thread's.
            let to = unsafe { std::slice::from_raw_parts_mut(to, panel.columns) };
            for ((to, sum), own) in to.iter_mut().zip(&*row).zip(own) {
                *to = (sum * share - own * mean) as f32;
            }
        }
        for (channel, &mean) in panel.all_columns().zip(own) {
            // SAFETY: the channel's mean is this thread's.
            unsafe { context.pointer(planned.means + channel).write(mean as f32) }
        }
    }

    /// The mean of an input channel, before it is stored. Every thread has pixels.
    fn mean_of_threads(&self, channel: usize) -> f64 {
        let Self {
            context,
            layer,
            planned,
        } = *self;
        let sums = (0..context.threads).map(|thread| {
            let means = context.pointer(context.shared.input_means.of(thread));
            // SAFETY: all threads have written their means and counts before the barrier.
            let get = |place| f64::from(unsafe { means.add(place).read() });
            get(planned.count_place()) * get(channel)
        });
        sums.sum::<f64>() / layer.pixels as f64
    }

    /// Values that all threads wrote before the last barrier, and none writes later in this pass.
    fn read(&self, offset: usize) -> &'a [f32] {
        let Self {
            context, planned, ..
        } = *self;
        let start = context.pointer(offset).cast_const();
        // SAFETY: as above; the offsets of `m` and of the rows of `V` have that many values.
        unsafe { std::slice::from_raw_parts(start, planned.channels) }
    }

    fn means(&self) -> &'a [f32] {
        let Self { planned, .. } = *self;
        self.read(planned.means)
    }

    /// A row of `V`.
    fn product(&self, output: usize) -> &'a [f32] {
        let Self { planned, .. } = *self;
        self.read(planned.product + output * planned.width)
    }

    /// Puts the weights of the thread's output channels into the order of a patch. `weight(k)` is the
    /// place of its value `k` among a channel's weights.
    pub(super) fn order_weights(&self, weight: impl Fn(usize) -> Option<usize>, thread: usize) {
        let Self {
            context, planned, ..
        } = *self;
        let (Some(ordered), depth) = (planned.ordered, planned.channels) else {
            return;
        };
        let plain = context.plain_weights(self.layer);
        for output in part(planned.outputs, thread, context.threads) {
            for (k, weight) in (0..depth).map(&weight).enumerate() {
                let value = weight.map_or(0.0, |weight| plain[output * depth + weight]);
                // SAFETY: the channel is this thread's.
                unsafe { context.pointer(ordered + output * depth + k).write(value) }
            }
        }
    }

    /// The weights as they are, in the order of a patch.
    fn all_weights(&self) -> &'a [f32] {
        let Self {
            context,
            layer,
            planned,
        } = *self;
        let Some(ordered) = planned.ordered else {
            return context.plain_weights(layer);
        };
        let start = context.pointer(ordered).cast_const();
        // SAFETY: all threads have written them before the barrier, and none does later in this pass.
        unsafe { std::slice::from_raw_parts(start, planned.outputs * planned.channels) }
    }

    /// The weights of an output channel.
    fn weights(&self, output: usize) -> &'a [f32] {
        let Self { planned, .. } = *self;
        &self.all_weights()[output * planned.channels..][..planned.channels]
    }

    /// Mean and variance of an output channel's `z`.
    pub(super) fn moments(&self, output: usize) -> (f64, f64) {
        let weights = self.weights(output);
        // Of a channel that is the same everywhere, rounding may leave less than 0.
        let variance = dot(weights, self.product(output)).max(0.0);
        (dot(weights, self.means()), variance)
    }

    /// Writes the thread's panels of `M`, as rows from `first` on of the packed weights at `to`, and of
    /// the biases `offset W`. Threads wait for each other.
    #[inline(always)]
    pub(super) fn pack_gradient<S: Simd>(
        &self,
        simd: S,
        (to, packed, first): (*mut f32, PanelLayout, usize),
        thread: usize,
    ) {
        let Self {
            context,
            layer,
            planned,
        } = *self;
        let panels = triangle(packed.count(), thread, context.threads);
        let left = context.scratch(thread);
        let right = left.wrapping_add(BLOCK * planned.width);
        let biases = right.wrapping_add(BLOCK * planned.width);
        // SAFETY: scratch is this thread's and has room for both blocks and the biases.
        unsafe { biases.write_bytes(0, planned.width) }
        let coefficient = |which, output| {
            // SAFETY: all threads have written the coefficients before the barrier.
            simd.splat(unsafe { context.coefficient(layer, which).add(output).read() })
        };
        for start in (0..planned.outputs).step_by(BLOCK) {
            let count = BLOCK.min(planned.outputs - start);
            for row in 0..count {
                let weights = self.weights(start + row);
                let slope = coefficient(Coefficient::Slope, start + row);
                let offset = coefficient(Coefficient::Offset, start + row);
                for (vector, weights) in weights.chunks(S::LANES).enumerate() {
                    let place = (vector * BLOCK + row) * S::LANES;
                    // SAFETY: as above.
                    unsafe {
                        let values = load_part(simd, weights.as_ptr(), weights.len());
                        simd.store(left.add(place), values);
                        let scaled = simd.mul_add(values, slope, simd.splat(0.0));
                        simd.store(right.add(place), scaled);
                        let bias = biases.add(vector * S::LANES);
                        simd.store(bias, simd.mul_add(values, offset, simd.load(bias)));
                    }
                }
            }
            let sums = Outer {
                left,
                right,
                count,
                block: BLOCK,
                layout: packed,
                rows: OuterRows::Triangle(first),
                panels: panels.clone(),
                sums: to,
                add: start > 0,
            };
            // SAFETY: the rows were just written, and the panels are this thread's.
            unsafe { sums.run(simd) }
        }
        for channel in panels.flat_map(|index| packed.panel(index).all_columns()) {
            let to = context.pointer(context.shared.input_bias + channel);
            // SAFETY: the channel is this thread's, and the biases were just written.
            unsafe { to.write(biases.add(channel).read()) }
        }
        context.wait();
        for index in part(packed.count(), thread, context.threads) {
            mirror(simd, to, &packed, first, index);
        }
    }

    /// Writes the part of the gradient of an output channel's weights that comes through `z`.
    #[inline(always)]
    pub(super) fn weight_gradient(&self, output: usize, to: &mut [f32]) {
        let Self { context, layer, .. } = *self;
        let count = layer.pixels as f64;
        let get = |which| {
            // SAFETY: all threads have written the coefficients before the barrier.
            f64::from(unsafe { context.coefficient(layer, which).add(output).read() })
        };
        let slope = count * get(Coefficient::Slope);
        let constant = count * get(Coefficient::Offset) + slope * get(Coefficient::Mean);
        let values = self.product(output).iter().zip(self.means());
        for (to, (&product, &mean)) in to.iter_mut().zip(values) {
            *to = (slope * f64::from(product) + constant * f64::from(mean)) as f32;
        }
    }
}

/// Writes the rows of a panel below the triangle of symmetric sums, whose rows begin with `first`.
#[inline(always)]
fn mirror<S: Simd>(simd: S, sums: *mut f32, layout: &PanelLayout, first: usize, index: usize) {
    const SQUARE: usize = 4;
    const { assert!(S::LANES.is_multiple_of(SQUARE)) };
    let panel = layout.panel(index);
    for other in (index + 1..layout.count()).map(|index| layout.panel(index)) {
        for k in other.all_columns().step_by(SQUARE) {
            let to = panel.offset() + panel.row(first + k).start;
            let from = other.offset() + other.row(first + panel.first).start + k - other.first;
            for lane in (0..panel.width).step_by(SQUARE) {
                let from = sums.wrapping_add(from + lane * other.width).cast_const();
                let to = sums.wrapping_add(to + lane);
                // SAFETY: the panel's rows from here on are this thread's, and those that are read were
                // written before the barrier.
                unsafe {
                    simd.transpose(from, other.width, [1.0; SQUARE].as_ptr(), to, panel.width)
                }
            }
        }
    }
}

/// Most columns of a panel.
const LARGEST_PANEL: usize = 64;

/// The sum of products. Several sums are added up at a time: each addition waits for the one before.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    const SOME: usize = 8;
    let (a, rest_of_a) = a.as_chunks::<SOME>();
    let (b, rest_of_b) = b.as_chunks::<SOME>();
    let mut sums = [0.0; SOME];
    for (a, b) in a.iter().zip(b) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += f64::from(a) * f64::from(b);
        }
    }
    let rest = rest_of_a.iter().zip(rest_of_b);
    let rest: f64 = rest.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    sums.iter().sum::<f64>() + rest
}
