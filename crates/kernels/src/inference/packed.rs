//! What a network is before it is packed, and after.
//!
//! Weights of pointwise layers and of the classifier are f32, or halves in half the memory. All
//! others stay f32: they are one in a hundred, and each of them acts on more of the result.

use crate::Activation;
use crate::geometry::ConvGeometry;
use crate::network::ConvKind;
use crate::simd::{AlignedBuffer, Isa, WeightType};

/// What is known of a layer before its weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerShape {
    /// What it does.
    pub kind: ConvKind,
    /// The window it is packed for. A program may use another stride or padding, not another
    /// kernel size; a layer packed by Strassen's scheme keeps stride 1.
    pub geometry: ConvGeometry,
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// What follows.
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

    /// Products that make one output value.
    pub(super) fn depth(&self) -> usize {
        self.weights()[1..].iter().product()
    }
}

/// One layer as the caller has it, batch normalisation folded in.
#[derive(Debug, Clone, Copy)]
pub struct LayerWeights<'a> {
    /// What it is.
    pub shape: LayerShape,
    /// Weights.
    pub weights: &'a [f32],
    /// One value an output channel.
    pub bias: &'a [f32],
}

/// The classifier: a matrix on pooled features.
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
    /// By halves.
    Strassen,
}

/// Where a packed layer's weights are, in values from the start of the buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PackedLayer {
    pub(super) kind: ConvKind,
    pub(super) kernel: [usize; 2],
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    pub(super) activation: Activation,
    pub(super) weight_type: WeightType,
    pub(super) scheme: Scheme,
    /// First panel, or first vector of a depthwise layer.
    pub(super) weights: usize,
    /// Biases of a matrix.
    pub(super) bias: usize,
}

/// Packed weights of a network for one instruction set; read-only, shared by programs of any
/// input size, stride and number of threads.
#[derive(Debug)]
pub struct PackedWeights {
    pub(super) isa: Isa,
    pub(super) weight_type: WeightType,
    pub(super) layers: Vec<PackedLayer>,
    pub(super) head: Option<PackedLayer>,
    pub(super) buffer: AlignedBuffer,
}

/// Vectors in a panel of the classifier. One pixel alone has one sum a vector, so it takes this
/// many to cover the multiply-add's latency of 4 cycles on 2 units.
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
