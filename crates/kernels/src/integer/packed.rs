//! Weights in the order in which kernels read them.

use super::check::check_arithmetic;
use super::network::{
    Arithmetic, IntegerLayer, IntegerNetwork, IntegerOperation, Integers, Quantized,
    QuantizedConvolution, ValueKind,
};
use super::rounding::{Bounds, ByteScale, Factors, byte_of_f32};
use super::softmax::Exponentials;
use crate::error::KernelError;
use crate::geometry::ConvGeometry;
use crate::network::ConvKind;
use crate::simd::integer::depthwise::tap_pairs;
use crate::simd::integer::{
    ExactRounding, IntegerKernel, IntegerSimd, Products, Rounding, dispatch,
};
use crate::simd::{AlignedBuffer, IntegerIsa};

/// A network whose weights are packed. Any number of programs can share it.
#[derive(Debug)]
pub struct PackedIntegers {
    pub(super) isa: IntegerIsa,
    pub(super) arithmetic: Arithmetic,
    pub(super) input_shape: [usize; 3],
    pub(super) input: ValueKind,
    /// Those of the chain, then those of the branches.
    pub(super) layers: Vec<PackedLayer>,
    /// The layer that each branch reads.
    pub(super) branches: Vec<usize>,
}

/// A layer with what its kernel needs.
#[derive(Debug)]
pub(super) struct PackedLayer {
    pub(super) name: String,
    pub(super) operation: PackedOperation,
    pub(super) output: ValueKind,
}

#[derive(Debug)]
pub(super) enum PackedOperation {
    Quantize,
    Dequantize,
    Matrix(PackedMatrix),
    Depthwise(PackedDepthwise),
    AveragePool(ConvGeometry),
    Mean,
    Flatten,
    Softmax(Exponentials),
}

/// A convolution as a product of gathered windows and weights.
#[derive(Debug)]
pub(super) struct PackedMatrix {
    pub(super) geometry: ConvGeometry,
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    /// How its kernel multiplies.
    pub(super) products: Products,
    /// Values of a window, in whole steps.
    pub(super) stride: usize,
    pub(super) panels: Vec<PackedPanel>,
    /// First values of the extra steps of all panels.
    pub(super) extra: Vec<u32>,
    pub(super) weights: AlignedBuffer,
    pub(super) sums: PackedSums,
}

/// Output channels that a kernel computes together.
#[derive(Debug)]
pub(super) struct PackedPanel {
    pub(super) first: usize,
    pub(super) channels: usize,
    /// Index of the first weight.
    pub(super) weights: usize,
    pub(super) extra: std::ops::Range<usize>,
}

#[derive(Debug)]
pub(super) struct PackedDepthwise {
    pub(super) geometry: ConvGeometry,
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    /// `[vectors, pairs of taps, lanes, 2]`, 16 bits each.
    pub(super) weights: AlignedBuffer,
    pub(super) sums: PackedSums,
}

/// What sums begin with, and how they end.
#[derive(Debug)]
pub(super) struct PackedSums {
    /// For whole vectors.
    pub(super) start: Vec<i32>,
    pub(super) bounds: Bounds,
    /// For whole vectors.
    pub(super) factors: Factors,
}

impl PackedSums {
    /// The rounding of these sums.
    pub(super) fn rounding(&self) -> Rounding<'_> {
        let bounds = self.bounds;
        match &self.factors {
            Factors::F32(factors) => Rounding::F32 {
                factors: factors.as_ptr(),
                bounds: [bounds.low, bounds.high].map(|b| (b - bounds.zero_point) as f32),
                zero_point: bounds.zero_point,
            },
            Factors::Exact(_) => Rounding::Exact(self),
        }
    }
}

impl ExactRounding for PackedSums {
    fn byte(&self, channel: usize, sum: i32) -> u8 {
        match &self.factors {
            Factors::Exact(factors) => factors
                .get(channel)
                .map_or(0, |factor| factor.byte(sum, self.bounds)),
            Factors::F32(factors) => factors
                .get(channel)
                .map_or(0, |factor| byte_of_f32(sum as f32 * factor, self.bounds)),
        }
    }
}

impl PackedIntegers {
    /// Checks and packs a network. Each layer's weights are freed once they are packed.
    ///
    /// # Errors
    /// If a layer cannot be computed.
    pub fn new(
        network: IntegerNetwork,
        arithmetic: Arithmetic,
        isa: impl Into<IntegerIsa>,
    ) -> Result<Self, KernelError> {
        let [rows, columns, mut channels] = network.input_shape;
        let shapes = network.shapes([rows, columns])?;
        let isa = isa.into();
        let mut input = network.input;
        let mut layers = Vec::new();
        for (layer, shape) in network.layers.into_iter().zip(shapes) {
            let output = layer.output;
            layers.push(PackedLayer::new(layer, input, channels, arithmetic, isa)?);
            (input, channels) = (output, shape[2]);
        }
        Ok(Self {
            isa,
            arithmetic,
            input_shape: network.input_shape,
            input: network.input,
            layers,
            branches: Vec::new(),
        })
    }

    /// The instructions that the weights are packed for.
    pub fn isa(&self) -> IntegerIsa {
        self.isa
    }

    /// The arithmetic.
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// Rows, columns and channels of an image, as the file has them.
    pub fn input_shape(&self) -> [usize; 3] {
        self.input_shape
    }

    /// An image's values.
    pub fn input(&self) -> ValueKind {
        self.input
    }

    /// Name and values of each layer's output: those of the chain, then those of the branches.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = (&str, ValueKind)> {
        let layers = self.layers.iter();
        layers.map(|layer| (layer.name.as_str(), layer.output))
    }

    /// The kernel of each layer: the instructions of its products, or `-`.
    pub fn kernels(&self) -> impl ExactSizeIterator<Item = &'static str> {
        let layers = self.layers.iter();
        layers.map(|layer| match &layer.operation {
            PackedOperation::Matrix(matrix) => matrix.products.name(),
            PackedOperation::Depthwise(_) => self.isa.pairs_name(),
            _ => "-",
        })
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        let buffers = self.layers.iter().map(|layer| match &layer.operation {
            PackedOperation::Matrix(matrix) => size_of_val(matrix.weights.as_slice()),
            PackedOperation::Depthwise(depthwise) => size_of_val(depthwise.weights.as_slice()),
            _ => 0,
        });
        buffers.sum()
    }
}

impl PackedLayer {
    /// Packs a layer that reads `channels` channels of `input`, and that was checked.
    pub(super) fn new(
        layer: IntegerLayer,
        input: ValueKind,
        channels: usize,
        arithmetic: Arithmetic,
        isa: IntegerIsa,
    ) -> Result<Self, KernelError> {
        check_arithmetic(&layer, input, arithmetic)?;
        let output = layer.output;
        let operation = match (layer.operation, input, output) {
            (
                IntegerOperation::Convolution(convolution),
                ValueKind::Quantized(input),
                ValueKind::Quantized(output),
            ) => {
                let factors = Factors::new(&convolution, input, output, arithmetic);
                let factors = factors.ok_or_else(|| KernelError::Layer {
                    layer: layer.name.clone(),
                    problem: "scales that XNNPACK refuses: the input's times the weights' is \
                              256 times the output's or more"
                        .to_string(),
                })?;
                let sums = PackedSums::new(&convolution, input, output, factors, isa);
                pack(isa, &convolution, channels, sums)
            }
            (IntegerOperation::Softmax { beta }, ValueKind::Quantized(input), _) => {
                PackedOperation::Softmax(Exponentials::new(input.scale, beta, arithmetic))
            }
            (IntegerOperation::Quantize, ..) => PackedOperation::Quantize,
            (IntegerOperation::AveragePool(geometry), ..) => PackedOperation::AveragePool(geometry),
            (IntegerOperation::Mean, ..) => PackedOperation::Mean,
            (IntegerOperation::Flatten, ..) => PackedOperation::Flatten,
            // The checks have refused all else.
            _ => PackedOperation::Dequantize,
        };
        Ok(Self {
            name: layer.name,
            operation,
            output,
        })
    }
}

impl PackedSums {
    fn new(
        convolution: &QuantizedConvolution,
        input: Quantized,
        output: Quantized,
        mut factors: Factors,
        isa: IntegerIsa,
    ) -> Self {
        let room = convolution.out_channels.next_multiple_of(isa.lanes());
        if let Factors::F32(factors) = &mut factors {
            factors.resize(room, 0.0);
        }
        let zero_point = ByteScale::from(input).zero_point;
        let start = convolution.bias.iter().enumerate().map(|(channel, &bias)| {
            let weights = weights_of(convolution, channel);
            let sum = weights.into_iter().fold(0, i32::wrapping_add);
            bias.wrapping_sub(zero_point.wrapping_mul(sum))
        });
        let mut start: Vec<i32> = start.collect();
        start.resize(room, 0);
        Self {
            start,
            bounds: Bounds::of_activation(output.into(), convolution.activation),
            factors,
        }
    }
}

/// An output channel's weights without their zero point, `[rows, columns, in]`.
fn weights_of(convolution: &QuantizedConvolution, channel: usize) -> Vec<i32> {
    let QuantizedConvolution {
        weights,
        out_channels,
        ..
    } = convolution;
    let each = weights.values.len() / out_channels;
    let zero_point = weights.zero_point(channel);
    let without = |weight: i32| weight - zero_point;
    match (convolution.kind, &weights.values) {
        (ConvKind::Conv, Integers::U8(values)) => {
            let values = values[channel * each..][..each].iter();
            values.map(|&weight| without(weight.into())).collect()
        }
        (ConvKind::Conv, Integers::I8(values)) => {
            let values = values[channel * each..][..each].iter();
            values.map(|&weight| without(weight.into())).collect()
        }
        (ConvKind::Depthwise, values) => {
            let at = |i| values.get(i * out_channels + channel).unwrap_or_default();
            (0..each).map(|i| without(at(i))).collect()
        }
    }
}

fn pack(
    isa: IntegerIsa,
    convolution: &QuantizedConvolution,
    in_channels: usize,
    sums: PackedSums,
) -> PackedOperation {
    match convolution.kind {
        ConvKind::Depthwise => PackedOperation::Depthwise(PackedDepthwise {
            geometry: convolution.geometry,
            in_channels,
            out_channels: convolution.out_channels,
            weights: pack_depthwise(convolution, isa.lanes()),
            sums,
        }),
        ConvKind::Conv => {
            let packed = pack_matrix(isa, convolution);
            PackedOperation::Matrix(PackedMatrix {
                geometry: convolution.geometry,
                in_channels,
                out_channels: convolution.out_channels,
                products: packed.products,
                stride: packed.stride,
                panels: packed.panels,
                extra: packed.extra,
                weights: packed.weights,
                sums,
            })
        }
    }
}

/// A buffer with these values, which are smaller than an f32.
fn buffer_of<T: Copy>(values: &[T]) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::zeros(size_of_val(values).div_ceil(size_of::<f32>()));
    let to = buffer.as_mut_slice().as_mut_ptr();
    // SAFETY: the buffer has room for the values, is aligned to a cache line, and every bit pattern
    // is an f32.
    unsafe {
        to.cast::<T>()
            .copy_from_nonoverlapping(values.as_ptr(), values.len())
    };
    buffer
}

fn pack_depthwise(convolution: &QuantizedConvolution, lanes: usize) -> AlignedBuffer {
    let pairs = tap_pairs(convolution.geometry.kernel);
    let vectors = convolution.out_channels.div_ceil(lanes);
    let mut packed = vec![0i16; vectors * pairs.len() * lanes * 2];
    for channel in 0..convolution.out_channels {
        let weights = weights_of(convolution, channel);
        for (index, &[first, second]) in pairs.iter().enumerate() {
            let pair = channel / lanes * pairs.len() + index;
            let at = (pair * lanes + channel % lanes) * 2;
            packed[at] = weights[first] as i16;
            if second != first {
                packed[at + 1] = weights[second] as i16;
            }
        }
    }
    buffer_of(&packed)
}

/// Packs a matrix for one way to multiply.
struct PackMatrix<'a> {
    convolution: &'a QuantizedConvolution,
    products: Products,
}

/// The packed weights of a matrix.
struct Panels {
    products: Products,
    stride: usize,
    panels: Vec<PackedPanel>,
    extra: Vec<u32>,
    weights: AlignedBuffer,
    /// Number of steps of all panels, times their cost.
    cost: f64,
}

/// Packs a matrix for the fastest way to multiply.
fn pack_matrix(isa: IntegerIsa, convolution: &QuantizedConvolution) -> Panels {
    let pack = |products| {
        let matrix = PackMatrix {
            convolution,
            products,
        };
        dispatch(products, matrix)
    };
    let small = isa.products_of_small().map(pack);
    let plain = pack(isa.products());
    match small {
        Some(small) if small.cost < plain.cost => small,
        _ => plain,
    }
}

impl IntegerKernel for PackMatrix<'_> {
    type Output = Panels;

    #[inline(always)]
    fn run<S: IntegerSimd>(self, _: S) -> Panels {
        let convolution = self.convolution;
        let out_channels = convolution.out_channels;
        let each = convolution.weights.values.len() / out_channels;
        let stride = each.next_multiple_of(S::DEPTH);
        let (mut weights, mut extra, mut panels) = (Vec::new(), Vec::new(), Vec::new());
        let width = S::PANEL * S::LANES;
        let mut products = 0;
        for first in (0..out_channels).step_by(width) {
            let channels = (out_channels - first).min(width);
            let lanes = channels.next_multiple_of(S::LANES);
            let start = (weights.len(), extra.len());
            weights.resize(start.0 + lanes * stride, S::Weight::default());
            let mut panel = PanelWeights::<S> {
                rest: vec![0; lanes * stride],
                stride,
                simd: std::marker::PhantomData,
            };
            let mut left = vec![false; stride / S::DEPTH];
            for lane in 0..channels {
                let row = &mut panel.rest[lane * stride..][..stride];
                row[..each].copy_from_slice(&weights_of(convolution, first + lane));
                let steps = weights[start.0..].chunks_exact_mut(lanes * S::DEPTH);
                for (step, (to, left)) in steps.zip(&mut left).enumerate() {
                    *left |= panel.take(lane, step, to);
                }
            }
            for (step, _) in left.iter().enumerate().filter(|(_, left)| **left) {
                let mut left = true;
                while left {
                    extra.push((step * S::DEPTH) as u32);
                    let end = weights.len();
                    weights.resize(end + lanes * S::DEPTH, S::Weight::default());
                    left = false;
                    for lane in 0..channels {
                        left |= panel.take(lane, step, &mut weights[end..]);
                    }
                }
            }
            products += weights.len() - start.0;
            panels.push(PackedPanel {
                first,
                channels,
                weights: start.0,
                extra: start.1..extra.len(),
            });
        }
        Panels {
            products: self.products,
            stride,
            panels,
            extra,
            weights: buffer_of(&weights),
            cost: products as f64 * self.products.cost(),
        }
    }
}

/// What is still to be packed of a panel's weights.
struct PanelWeights<S: IntegerSimd> {
    /// `[lanes, stride]`.
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
