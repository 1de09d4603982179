//! The description of a network of integers: layers in a chain, each with the meaning of its
//! output's integers. Plain data, which readers and quantisation build and writers take apart.
//!
//! An integer `q` means `scale * (q - zero_point)`.

use crate::geometry::ConvGeometry;
use crate::network::{Activation, ConvKind};

/// Which rounding a network's integers are computed by. Frameworks disagree in up to a third of a
/// network's inner values, so whoever compares numbers must name one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Arithmetic {
    /// That of LiteRT's default interpreter: sums are multiplied in f32 and rounded with ties to
    /// even. ONNX Runtime's `QLinearConv` and PyTorch's qnnpack round so too.
    #[default]
    Xnnpack,
    /// That of TFLite's reference kernels and of TFLite Micro: fixed point, after gemmlowp. For
    /// comparisons with a microcontroller.
    Reference,
    /// That of TFLite's optimised kernels (ruy) without XNNPACK, which older files were evaluated
    /// with. Known for convolutions of unsigned integers.
    Optimized,
}

/// The integer type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IntegerType {
    /// 0 to 255.
    U8,
    /// -128 to 127.
    I8,
}

impl IntegerType {
    /// The smallest integer.
    pub const fn min(self) -> i32 {
        match self {
            Self::U8 => 0,
            Self::I8 => -128,
        }
    }

    /// The largest integer.
    pub const fn max(self) -> i32 {
        self.min() + 255
    }
}

/// What an activation's integers mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantized {
    /// Their type.
    pub integer: IntegerType,
    /// How much the number grows when the integer grows by 1.
    pub scale: f32,
    /// The integer that means 0.
    pub zero_point: i32,
}

/// Values of an activation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueKind {
    /// Numbers, only before the first or after the last integers.
    F32,
    /// Integers.
    Quantized(Quantized),
}

/// Integers of a constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integers {
    /// Unsigned.
    U8(Vec<u8>),
    /// Signed.
    I8(Vec<i8>),
}

/// Weights of a convolution.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedWeights {
    /// `[out, rows, columns, in]`; of a depthwise convolution `[rows, columns, out]`.
    pub values: Integers,
    /// One scale, or one for each output channel.
    pub scales: Vec<f32>,
    /// As many zero points as scales.
    pub zero_points: Vec<i32>,
}

/// A convolution with everything that is fused to it.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedConvolution {
    /// Full or depthwise.
    pub kind: ConvKind,
    /// Its window.
    pub geometry: ConvGeometry,
    /// Output channels. A multiple of the input channels, if depthwise.
    pub out_channels: usize,
    /// Weights.
    pub weights: QuantizedWeights,
    /// One for each output channel, in units of the input's scale times the weights' scale.
    pub bias: Vec<i32>,
    /// The function after it.
    pub activation: Activation,
    /// Whether the file calls it fully connected; the reference arithmetic then rounds otherwise.
    pub fully_connected: bool,
}

/// What a layer does with the output of the layer before it.
#[derive(Debug, Clone, PartialEq)]
pub enum IntegerOperation {
    /// Numbers to integers, or integers to integers of another meaning.
    Quantize,
    /// Integers to numbers.
    Dequantize,
    /// Full, pointwise, depthwise, or fully connected (a pointwise one on a single pixel).
    Convolution(QuantizedConvolution),
    /// Mean over a window; its output has the input's meaning.
    AveragePool(ConvGeometry),
    /// Mean over all rows and columns, which gets a meaning of its own.
    Mean,
    /// All values become the channels of one pixel.
    Flatten,
    /// Softmax over the channels of each pixel.
    Softmax {
        /// Factor of the logits.
        beta: f32,
    },
}

/// One layer.
#[derive(Debug, Clone, PartialEq)]
pub struct IntegerLayer {
    /// Its name, for errors and for whoever asks for its output.
    pub name: String,
    /// What it does.
    pub operation: IntegerOperation,
    /// Its output's values.
    pub output: ValueKind,
}

/// A convolution of single pixels beside the chain: it reads a layer in the middle, and only the
/// caller reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct IntegerBranch {
    /// Index of the layer that it reads.
    pub reads: usize,
    /// The convolution.
    pub layer: IntegerLayer,
}

/// A network.
#[derive(Debug, Clone, PartialEq)]
pub struct IntegerNetwork {
    /// Rows, columns and channels of an image.
    pub input_shape: [usize; 3],
    /// Its values.
    pub input: ValueKind,
    /// The layers, in order.
    pub layers: Vec<IntegerLayer>,
}

impl Integers {
    /// Number of integers.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their type.
    pub fn integer(&self) -> IntegerType {
        match self {
            Self::U8(_) => IntegerType::U8,
            Self::I8(_) => IntegerType::I8,
        }
    }

    /// The integer at an index.
    pub fn get(&self, index: usize) -> Option<i32> {
        match self {
            Self::U8(values) => values.get(index).map(|&value| value.into()),
            Self::I8(values) => values.get(index).map(|&value| value.into()),
        }
    }
}

impl QuantizedWeights {
    /// Scale of an output channel.
    pub fn scale(&self, channel: usize) -> f32 {
        let index = if self.scales.len() == 1 { 0 } else { channel };
        self.scales.get(index).copied().unwrap_or_default()
    }

    /// Zero point of an output channel.
    pub fn zero_point(&self, channel: usize) -> i32 {
        let index = if self.zero_points.len() == 1 {
            0
        } else {
            channel
        };
        self.zero_points.get(index).copied().unwrap_or_default()
    }
}
