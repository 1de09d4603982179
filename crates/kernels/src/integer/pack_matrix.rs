//! Brings the weights of a matrix into the order in which kernels read them: panels of output
//! channels, step by step, and extra steps for what a step cannot multiply exactly.

use super::network::QuantizedConvolution;
use super::packed::PackedPanel;
use super::weights::{each, weights_of};
use crate::simd::integer::{IntegerKernel, IntegerSimd, Products, Weight, dispatch};
use crate::simd::{AlignedBuffer, IntegerIsa};

/// Packs a matrix for one way to multiply.
struct PackMatrix<'a> {
    convolution: &'a QuantizedConvolution,
    products: Products,
    /// More weights than these, with those of extra steps, are of no use: it stops.
    most: usize,
}

/// The packed weights of a matrix.
pub(super) struct Panels {
    pub(super) products: Products,
    pub(super) stride: usize,
    pub(super) panels: Vec<PackedPanel>,
    pub(super) extra: Vec<u32>,
    pub(super) weights: AlignedBuffer,
    /// What is subtracted from left operands.
    pub(super) offset: i32,
    /// Whether all weights are there.
    complete: bool,
}

/// Packs a matrix for the fastest way to multiply a map of so many pixels.
pub(super) fn pack_matrix(
    isa: IntegerIsa,
    convolution: &QuantizedConvolution,
    pixels: usize,
) -> Panels {
    let plain = isa.products();
    if let (1, Some(products)) = (pixels, isa.products_of_a_pixel()) {
        let packed = PackMatrix {
            convolution,
            products,
            most: dispatch(products, CountWeights { convolution }),
        };
        let packed = dispatch(products, packed);
        if packed.complete {
            return packed;
        }
    }
    if let Some(small) = isa.products_of_small() {
        // The plain kernel needs no extra steps.
        let count = dispatch(plain, CountWeights { convolution });
        let most = (count as f64 * plain.cost() / small.cost()) as usize;
        // Weights that fill their range need many extra steps. An estimate shows it sooner.
        if dispatch(small, EstimateWeights { convolution }) <= most {
            let packed = PackMatrix {
                convolution,
                products: small,
                most,
            };
            let packed = dispatch(small, packed);
            if packed.complete {
                return packed;
            }
        }
    }
    let matrix = PackMatrix {
        convolution,
        products: plain,
        most: usize::MAX,
    };
    dispatch(plain, matrix)
}

/// Counts the weights of a matrix without extra steps.
struct CountWeights<'a> {
    convolution: &'a QuantizedConvolution,
}

impl IntegerKernel for CountWeights<'_> {
    type Output = usize;

    #[inline(always)]
    fn run<S: IntegerSimd>(self, _: S) -> usize {
        let lanes = self.convolution.out_channels.next_multiple_of(S::LANES);
        lanes * each(self.convolution).next_multiple_of(S::DEPTH)
    }
}

/// Estimates the weights of a matrix with its extra steps, from every eighth panel: all of them
/// take as long as packing small weights.
struct EstimateWeights<'a> {
    convolution: &'a QuantizedConvolution,
}

impl IntegerKernel for EstimateWeights<'_> {
    type Output = usize;

    #[inline(always)]
    fn run<S: IntegerSimd>(self, simd: S) -> usize {
        let (convolution, out_channels) = (self.convolution, self.convolution.out_channels);
        let mut row = vec![0; each(convolution).next_multiple_of(S::DEPTH)];
        let mut steps = vec![0; row.len() / S::DEPTH];
        let (mut plain, mut count) = (0, 0);
        let width = S::PANEL * S::LANES;
        for first in (0..out_channels).step_by(8 * width) {
            let channels = (out_channels - first).min(width);
            steps.fill(1);
            for channel in first..first + channels {
                weights_of(convolution, channel, 0, &mut row[..each(convolution)]);
                if largest(&row) <= S::WHOLE {
                    continue;
                }
                // A loop without iterators, which is compiled for the instruction set.
                for step in 0..steps.len() {
                    let least = S::least_steps(&row[step * S::DEPTH..][..S::DEPTH]);
                    steps[step] = least.max(steps[step]);
                }
            }
            plain += steps.len();
            count += steps.iter().map(|&steps| steps as usize).sum::<usize>();
        }
        CountWeights { convolution }.run(simd) * count / plain.max(1)
    }
}

impl IntegerKernel for PackMatrix<'_> {
    type Output = Panels;

    #[inline(always)]
    fn run<S: IntegerSimd>(self, simd: S) -> Panels {
        let convolution = self.convolution;
        let out_channels = convolution.out_channels;
        let each = each(convolution);
        let stride = each.next_multiple_of(S::DEPTH);
        let (mut extra, mut panels) = (Vec::new(), Vec::new());
        let mut weights = Weights::new(CountWeights { convolution }.run(simd));
        let width = S::PANEL * S::LANES;
        for first in (0..out_channels).step_by(width) {
            let channels = (out_channels - first).min(width);
            let lanes = channels.next_multiple_of(S::LANES);
            let start = (weights.len, extra.len());
            let all = weights.add(lanes * stride);
            let mut panel = PanelWeights::<S> {
                rest: Vec::new(),
                stride,
                simd: std::marker::PhantomData,
            };
            let mut left = vec![false; stride / S::DEPTH];
            let mut row = [0; BLOCK];
            for block in (0..stride).step_by(BLOCK) {
                let steps = (stride - block).min(BLOCK) / S::DEPTH;
                let to = &mut all[block * lanes..];
                for lane in 0..channels {
                    let count = (each - block).min(BLOCK);
                    row[count..].fill(0);
                    weights_of(convolution, first + lane, block, &mut row[..count]);
                    // Loops without iterators, which are compiled for the instruction set.
                    if largest(&row) <= S::WHOLE {
                        for step in 0..steps {
                            let row = &row[step * S::DEPTH..][..S::DEPTH];
                            put::<S>(lane, row, &mut to[step * lanes * S::DEPTH..]);
                        }
                        continue;
                    }
                    if panel.rest.is_empty() {
                        panel.rest.resize(lanes * stride, 0);
                    }
                    for step in 0..steps {
                        let row = &row[step * S::DEPTH..][..S::DEPTH];
                        let to = &mut to[step * lanes * S::DEPTH..];
                        // Nothing is left of most, whose magnitudes every set's weights hold.
                        if S::least_steps(row) <= 1 && largest(row) <= i8::MAX.into() {
                            put::<S>(lane, row, to);
                            continue;
                        }
                        let rest = lane * stride + block + step * S::DEPTH;
                        panel.rest[rest..][..S::DEPTH].copy_from_slice(row);
                        let index = block / S::DEPTH + step;
                        left[index] |= panel.take(lane, index, to);
                    }
                }
            }
            for (step, _) in left.iter().enumerate().filter(|(_, left)| **left) {
                let mut left = true;
                while left {
                    extra.push((step * S::DEPTH) as u32);
                    let to = weights.add(lanes * S::DEPTH);
                    left = false;
                    for lane in 0..channels {
                        left |= panel.take(lane, step, to);
                    }
                }
            }
            panels.push(PackedPanel {
                first,
                channels,
                weights: start.0,
                extra: start.1..extra.len(),
            });
            if weights.len > self.most {
                break;
            }
        }
        Panels {
            products: self.products,
            stride,
            panels,
            extra,
            complete: weights.len <= self.most,
            weights: weights.all(),
            offset: S::OFFSET,
        }
    }
}

/// Values of a buffer with room for `count` weights.
pub(super) fn room_for<W: Weight>(count: usize) -> usize {
    count
        .saturating_mul(size_of::<W>())
        .div_ceil(size_of::<f32>())
}

/// A buffer as weights.
pub(super) fn weights_in<W: Weight>(buffer: &mut AlignedBuffer) -> &mut [W] {
    let values = buffer.as_mut_slice();
    let count = size_of_val(values) / size_of::<W>();
    // SAFETY: a weight is an i8 or an i16, so it is no larger than an f32 and needs no stricter
    // alignment, and every bit pattern is valid for both. The buffer is borrowed mutably.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), count) }
}

/// Packed weights whose number is not known before they are packed.
struct Weights<W> {
    buffer: AlignedBuffer,
    len: usize,
    weight: std::marker::PhantomData<W>,
}

impl<W: Weight> Weights<W> {
    /// For `count` weights and some extra steps: memory that is not touched costs nothing.
    fn new(count: usize) -> Self {
        Self {
            buffer: AlignedBuffer::zeros(room_for::<W>(count.saturating_add(count / 2))),
            len: 0,
            weight: std::marker::PhantomData,
        }
    }

    /// Adds `count` zeros, and returns them.
    fn add(&mut self, count: usize) -> &mut [W] {
        let start = self.len;
        self.len += count;
        let room = room_for::<W>(self.len);
        if room > self.buffer.as_slice().len() {
            let mut larger = AlignedBuffer::zeros(2 * room);
            let values = self.buffer.as_slice();
            larger.as_mut_slice()[..values.len()].copy_from_slice(values);
            self.buffer = larger;
        }
        &mut weights_in(&mut self.buffer)[start..self.len]
    }

    /// All that were added.
    fn all(mut self) -> AlignedBuffer {
        self.buffer.truncate(room_for::<W>(self.len));
        self.buffer
    }
}

/// The largest magnitude.
#[inline(always)]
fn largest(row: &[i32]) -> i32 {
    row.iter()
        .fold(0, |largest, weight| weight.abs().max(largest))
}

/// Puts a lane's weights of a step, which it takes whole, among the step's weights.
#[inline(always)]
fn put<S: IntegerSimd>(lane: usize, row: &[i32], to: &mut [S::Weight]) {
    let to = &mut to[lane / S::LANES * S::LANES * S::DEPTH..][..S::LANES * S::DEPTH];
    for depth in 0..S::DEPTH {
        to[S::packed(lane % S::LANES, depth)] = S::Weight::nearest(row[depth]);
    }
}

/// Weights of a channel that are packed at a time: so few that a panel's stay in the nearest cache.
const BLOCK: usize = 64;

/// What is still to be packed of a panel's weights.
struct PanelWeights<S: IntegerSimd> {
    /// `[lanes, stride]`, or nothing where all were taken whole.
    rest: Vec<i32>,
    stride: usize,
    simd: std::marker::PhantomData<S>,
}

impl<S: IntegerSimd> PanelWeights<S> {
    /// Takes what a step can of a lane's weights, and puts it into the step's weights. Whether
    /// something is left.
    #[inline(always)]
    fn take(&mut self, lane: usize, step: usize, to: &mut [S::Weight]) -> bool {
        let row = &mut self.rest[lane * self.stride + step * S::DEPTH..][..S::DEPTH];
        let mut taken = [S::Weight::default(); MOST_DEPTH];
        S::take(row, &mut taken[..S::DEPTH]);
        let vector = lane / S::LANES * S::LANES * S::DEPTH;
        for (depth, weight) in taken[..S::DEPTH].iter().enumerate() {
            to[vector + S::packed(lane % S::LANES, depth)] = *weight;
        }
        row.iter().any(|&weight| weight != 0)
    }
}

/// Most products of a step.
const MOST_DEPTH: usize = 8;

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::super::network::{Integers, QuantizedWeights};
    use super::*;
    use crate::geometry::{ConvGeometry, Padding};
    use crate::network::{Activation, ConvKind};

    /// A pointwise convolution with weights up to a magnitude.
    fn convolution(most: i32) -> QuantizedConvolution {
        let (inputs, out_channels) = (37, 41);
        let mut state = 1u32;
        let weight = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 16) as i32 % (2 * most + 1) - most) as i8
        };
        QuantizedConvolution {
            kind: ConvKind::Conv,
            geometry: ConvGeometry {
                kernel: [1, 1],
                stride: 1,
                dilation: 1,
                padding: Padding::symmetric(0),
            },
            out_channels,
            weights: QuantizedWeights {
                values: Integers::I8((0..inputs * out_channels).map(weight).collect()),
                scales: vec![1.0],
                zero_points: vec![0],
            },
            bias: vec![0; out_channels],
            activation: Activation::Identity,
            fully_connected: false,
        }
    }

    #[test]
    fn weights_of_a_single_pixel_are_bytes_if_they_fit() {
        if !IntegerIsa::Avx2.is_available() {
            return println!("SKIPPED: this machine has no AVX2");
        }
        let mut convolution = convolution(127);
        let packed = |convolution: &_| pack_matrix(IntegerIsa::Avx2, convolution, 1);
        assert_eq!(packed(&convolution).products, Products::Avx2Widened);
        // Minus this, the least of them is less than a byte.
        convolution.weights.zero_points = vec![3];
        let wide = packed(&convolution);
        assert_eq!(wide.products, Products::Avx2);
        assert!(wide.extra.is_empty());
    }

    #[test]
    fn estimates_are_near_what_is_packed() {
        let Some(products) = IntegerIsa::Avx2.products_of_small() else {
            panic!("AVX2 has a kernel for small weights");
        };
        if !IntegerIsa::Avx2.is_available() {
            return println!("SKIPPED: this machine has no AVX2");
        }
        for magnitude in [8, 32, 50, 90, 127] {
            let convolution = &convolution(magnitude);
            let plain = dispatch(products, CountWeights { convolution });
            let estimate = dispatch(products, EstimateWeights { convolution });
            let packed = PackMatrix {
                convolution,
                products,
                most: usize::MAX,
            };
            let packed = dispatch(products, packed);
            // Weights whose sums always fit have no extra steps.
            assert_eq!(packed.extra.is_empty(), estimate == plain, "{magnitude}");
            let bytes = size_of_val(packed.weights.as_slice());
            let ratio = bytes as f64 / estimate as f64;
            assert!((0.95..1.25).contains(&ratio), "{magnitude}: {ratio}");
        }
    }
}
