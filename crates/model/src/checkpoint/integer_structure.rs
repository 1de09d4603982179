//! The structure of a network of integers as JSON in the header of our safetensors. Numbers are in
//! tensors: weights and biases under our names with their scales, and [`ACTIVATION_SCALES`].

use mobilenet_kernels::integer::{IntegerOperation, IntegerType, Quantized, ValueKind};
use mobilenet_kernels::{Activation, ConvGeometry, Padding};
use serde::{Deserialize, Serialize};

/// Key of the entry in safetensors' `__metadata__`.
pub(super) const KEY: &str = "integer_network";
/// Scales of the input and of each layer's output; 0 where they are numbers.
pub(super) const ACTIVATION_SCALES: &str = "activations.scale";

/// A network without its numbers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Structure {
    /// The rounding for which biases were made.
    pub(super) arithmetic: Rounding,
    /// Rows, columns and channels of an image.
    pub(super) input_shape: [usize; 3],
    pub(super) input: Values,
    pub(super) layers: Vec<LayerStructure>,
}

/// A rounding by its name on the command line.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Rounding {
    Xnnpack,
    Reference,
}

/// Values of an activation, with the integer that means 0.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Values {
    F32,
    U8(i32),
    I8(i32),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LayerStructure {
    pub(super) name: String,
    pub(super) operation: OperationStructure,
    pub(super) output: Values,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum OperationStructure {
    Quantize,
    Dequantize,
    Convolution {
        depthwise: bool,
        window: Window,
        activation: Function,
        fully_connected: bool,
    },
    AveragePool(Window),
    Mean,
    Flatten,
    Softmax {
        beta: f32,
    },
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    kernel: [usize; 2],
    stride: usize,
    dilation: usize,
    padding: Sides,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sides {
    Same,
    /// Rows above and below, columns left and right.
    Explicit([usize; 4]),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Function {
    None,
    Relu,
    Relu6,
}

impl Values {
    pub(super) fn of(values: ValueKind) -> (Self, f32) {
        match values {
            ValueKind::F32 => (Self::F32, 0.0),
            ValueKind::Quantized(quantized) => {
                let zero_point = quantized.zero_point;
                let values = match quantized.integer {
                    IntegerType::U8 => Self::U8(zero_point),
                    IntegerType::I8 => Self::I8(zero_point),
                };
                (values, quantized.scale)
            }
        }
    }

    pub(super) fn with_scale(self, scale: f32) -> ValueKind {
        let (integer, zero_point) = match self {
            Self::F32 => return ValueKind::F32,
            Self::U8(zero_point) => (IntegerType::U8, zero_point),
            Self::I8(zero_point) => (IntegerType::I8, zero_point),
        };
        ValueKind::Quantized(Quantized {
            integer,
            scale,
            zero_point,
        })
    }
}

impl From<&ConvGeometry> for Window {
    fn from(geometry: &ConvGeometry) -> Self {
        Self {
            kernel: geometry.kernel,
            stride: geometry.stride,
            dilation: geometry.dilation,
            padding: match geometry.padding {
                Padding::Same => Sides::Same,
                Padding::Explicit {
                    top,
                    bottom,
                    left,
                    right,
                } => Sides::Explicit([top, bottom, left, right]),
            },
        }
    }
}

impl From<Window> for ConvGeometry {
    fn from(window: Window) -> Self {
        Self {
            kernel: window.kernel,
            stride: window.stride,
            dilation: window.dilation,
            padding: match window.padding {
                Sides::Same => Padding::Same,
                Sides::Explicit([top, bottom, left, right]) => Padding::Explicit {
                    top,
                    bottom,
                    left,
                    right,
                },
            },
        }
    }
}

impl From<Activation> for Function {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Identity => Self::None,
            Activation::Relu => Self::Relu,
            Activation::Relu6 => Self::Relu6,
        }
    }
}

impl From<Function> for Activation {
    fn from(function: Function) -> Self {
        match function {
            Function::None => Self::Identity,
            Function::Relu => Self::Relu,
            Function::Relu6 => Self::Relu6,
        }
    }
}

impl From<&IntegerOperation> for OperationStructure {
    fn from(operation: &IntegerOperation) -> Self {
        match operation {
            IntegerOperation::Quantize => Self::Quantize,
            IntegerOperation::Dequantize => Self::Dequantize,
            IntegerOperation::Convolution(convolution) => Self::Convolution {
                depthwise: convolution.kind == mobilenet_kernels::ConvKind::Depthwise,
                window: (&convolution.geometry).into(),
                activation: convolution.activation.into(),
                fully_connected: convolution.fully_connected,
            },
            IntegerOperation::AveragePool(geometry) => Self::AveragePool(geometry.into()),
            IntegerOperation::Mean => Self::Mean,
            IntegerOperation::Flatten => Self::Flatten,
            IntegerOperation::Softmax { beta } => Self::Softmax { beta: *beta },
        }
    }
}
