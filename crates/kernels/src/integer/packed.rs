//! A network as kernels read it.

use super::constant::Computed;
use super::network::{Arithmetic, ValueKind};
use super::rounding::{Bounds, Factors};
use super::softmax::Exponentials;
use crate::geometry::ConvGeometry;
use crate::simd::integer::row::{Quad, TapProducts};
use crate::simd::integer::{ExactRounding, Products, Rounding, Scaling};
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
    /// If some channels of the output are constants.
    pub(super) computed: Option<Computed>,
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
    /// How the kernel multiplies, and the weights in its order.
    pub(super) taps: TapProducts,
    /// How channels are taken together, if starts and factors have that order, too.
    pub(super) quads: Vec<Quad>,
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
            Factors::F32(factors) => Rounding::F32(Scaling {
                factors: factors.as_ptr(),
                bounds: [bounds.low, bounds.high].map(|b| (b - bounds.zero_point) as f32),
                zero_point: bounds.zero_point,
            }),
            Factors::Exact(_) => Rounding::Exact(self),
        }
    }
}

impl ExactRounding for PackedSums {
    fn byte(&self, channel: usize, sum: i32) -> u8 {
        self.factors.byte(channel, sum, self.bounds)
    }
}

impl PackedIntegers {
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
            PackedOperation::Depthwise(depthwise) => match depthwise.taps {
                TapProducts::Pairs => self.isa.pairs_name(),
                TapProducts::Columns => self.isa.products().name(),
            },
            _ => "-",
        })
    }

    /// How many channels of each layer's output are not computed, because they are the same in every
    /// image.
    pub fn constant_channels(&self) -> impl ExactSizeIterator<Item = usize> {
        let layers = self.layers.iter();
        layers.map(|layer| layer.computed.as_ref().map_or(0, Computed::left_out))
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
