//! The types of a network before and after its weights are packed.
//!
//! Weights of pointwise layers and of the classifier are f32, or 16 bits to save half the memory.
//! All other weights stay f32: they are 1 % of all, and each of them affects more of the result.

use crate::Activation;
use crate::geometry::ConvGeometry;
use crate::network::ConvKind;
use crate::simd::{AlignedBuffer, Isa, WeightType};

/// The description of a layer without its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerShape {
    /// Kind of convolution.
    pub kind: ConvKind,
    /// The window that it is packed for. A program may use another stride or padding, but not
    /// another kernel size. A layer that is packed by Strassen's scheme keeps stride 1.
    pub geometry: ConvGeometry,
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// The activation.
    pub activation: Activation,
}

impl LayerShape {
    /// Shape of the weights.
    pub(super) fn weights(&self) -> [usize; 4] {
        let [rows, columns] = self.geometry.kernel;
        let inputs = match self.kind {
            ConvKind::Conv => self.in_channels,
            ConvKind::Depthwise => 1,
        };
        [self.out_channels, inputs, rows, columns]
    }

    /// Number of products that are summed for one output value.
    pub(super) fn depth(&self) -> usize {
        self.weights()[1..].iter().product()
    }
}

/// A convolution of single pixels beside the chain: it reads a layer in the middle, and only the
/// caller reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BranchShape {
    /// Index of the layer that it reads.
    pub reads: usize,
    /// Its description.
    pub shape: LayerShape,
}

/// One layer with the caller's weights. Batch normalisation is folded in.
#[derive(Debug, Clone, Copy)]
pub struct LayerWeights<'a> {
    /// Description of the layer.
    pub shape: LayerShape,
    /// Weights.
    pub weights: &'a [f32],
    /// One value per output channel.
    pub bias: &'a [f32],
}

/// The classifier, which is a matrix on the pooled features.
#[derive(Debug, Clone, Copy)]
pub struct HeadWeights<'a> {
    /// Number of classes.
    pub classes: usize,
    /// `[classes, channels]`.
    pub weights: &'a [f32],
    /// `[classes]`.
    pub bias: &'a [f32],
}

/// How a matrix product is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// One sum over all channels.
    Plain,
    /// Strassen's scheme, by halves of the channels.
    Strassen,
}

/// A packed layer. `weights` and `bias` are in values from the start of the buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PackedLayer {
    pub(super) kind: ConvKind,
    pub(super) kernel: [usize; 2],
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    pub(super) activation: Activation,
    pub(super) weight_type: WeightType,
    pub(super) scheme: Scheme,
    /// The first panel, or the first vector of a depthwise layer.
    pub(super) weights: usize,
    /// The biases of a matrix.
    pub(super) bias: usize,
}

/// Packed weights of a network for one instruction set. They are read-only, and programs of any
/// input size, stride and number of threads share them.
#[derive(Debug)]
pub struct PackedWeights {
    pub(super) isa: Isa,
    pub(super) weight_type: WeightType,
    /// Those of the chain.
    pub(super) layers: Vec<PackedLayer>,
    /// What reads one of them, and which.
    pub(super) branches: Vec<(usize, PackedLayer)>,
    pub(super) head: Option<PackedLayer>,
    pub(super) buffer: AlignedBuffer,
}

/// Vectors in a panel of the classifier. A single pixel has only one sum per vector, so it takes
/// this many to cover the multiply-add's latency of 4 cycles on 2 units.
pub(super) const HEAD_PANEL: usize = 8;

impl PackedWeights {
    /// The instruction set that the weights are packed for.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The type of pointwise weights.
    pub fn weight_type(&self) -> WeightType {
        self.weight_type
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        4 * self.buffer.as_slice().len()
    }
}
