//! A network as its file describes it: operations, and the tensors that they read and write.
//!
//! Readers translate every graph format to these types, which know nothing of MobileNet.

use std::collections::HashMap;
use std::fmt;

use mobilenet_kernels::integer::Quantized;
use mobilenet_kernels::{ConvGeometry, Padding};

use crate::checkpoint::layout::Layout;

/// A network's operations, in the file's order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    /// The network's input.
    pub(crate) input: Input,
    pub(crate) operations: Vec<Operation>,
}

impl Graph {
    /// The operations that read the values of each tensor.
    pub(crate) fn takers(&self) -> HashMap<&str, Vec<&Operation>> {
        let mut takers: HashMap<&str, Vec<&Operation>> = HashMap::new();
        for operation in &self.operations {
            for input in &operation.inputs {
                if !matches!(operation.kind, OperationKind::Shape) {
                    takers.entry(input.as_str()).or_default().push(operation);
                }
            }
        }
        takers
    }
}

/// The image that a network takes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Input {
    /// Name of the tensor.
    pub(crate) name: String,
    /// Rows and columns, where they are fixed.
    pub(crate) size: Option<[usize; 2]>,
    /// How 8-bit samples become the network's numbers. Only quantised networks have it.
    pub(crate) samples: Option<Samples>,
}

/// `x = scale * (sample - zero_point)`, for samples 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Samples {
    /// Difference of `x` between adjacent samples.
    pub(crate) scale: f32,
    /// The sample for which `x` is 0.
    pub(crate) zero_point: i64,
}

/// One operation of the graph.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// Its name, for messages.
    pub(crate) name: String,
    /// Names of the input tensors, except constants.
    pub(crate) inputs: Vec<String>,
    /// Name of the output tensor.
    pub(crate) output: String,
    pub(crate) kind: OperationKind,
}

/// What an operation computes. Parameters are names of tensors in the same file.
#[derive(Debug, Clone)]
pub(crate) enum OperationKind {
    Conv(Conv),
    BatchNorm(BatchNorm),
    /// Matrix product, as in a classifier.
    Dense {
        weights: String,
        layout: Layout,
        /// One value per output.
        bias: Option<String>,
    },
    /// Activation: `relu6`, `relu`, or another by the file's name.
    Activation(String),
    /// Pads the image with zeros: top, left, bottom, right.
    Pad([usize; 4]),
    /// Average over a window of rows and columns, or over the whole image (`None`).
    AveragePool(Option<[usize; 2]>),
    /// Elementwise operation with a tensor of the file.
    Arithmetic {
        operator: Operator,
        /// The second operand.
        operand: String,
    },
    /// Softmax over the classes.
    Softmax,
    /// Rounds numbers to integers of this meaning.
    Quantize(Quantized),
    /// Integers of this meaning to numbers.
    Dequantize(Quantized),
    /// Changes the shape, or nothing.
    PassThrough,
    /// Reads the shape of a tensor, but not its values.
    Shape,
    /// Any other operation, by the file's name.
    Other(String),
}

/// Elementwise operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// x + operand.
    Add,
    /// x - operand.
    Subtract,
    /// x * operand.
    Multiply,
    /// x / operand.
    Divide,
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "addition",
            Self::Subtract => "subtraction",
            Self::Multiply => "multiplication",
            Self::Divide => "division",
        })
    }
}

/// A convolution.
#[derive(Debug, Clone)]
pub(crate) struct Conv {
    pub(crate) weights: String,
    pub(crate) layout: Layout,
    /// Whether each channel has its own filters.
    pub(crate) depthwise: bool,
    /// One value per output channel.
    pub(crate) bias: Option<String>,
    /// Rows and columns.
    pub(crate) stride: [usize; 2],
    /// Distance between taps, in rows and columns.
    pub(crate) dilation: [usize; 2],
    pub(crate) padding: Padding,
    /// The activation after the convolution.
    pub(crate) activation: Option<String>,
}

impl Conv {
    /// The window of this convolution after the image was padded: top, left, bottom, right.
    ///
    /// # Errors
    /// What is not supported.
    pub(crate) fn window(
        &self,
        kernel: [usize; 2],
        [top, left, bottom, right]: [usize; 4],
    ) -> Result<ConvGeometry, &'static str> {
        let ([stride, across], [dilation, along]) = (self.stride, self.dilation);
        if stride != across || dilation != along {
            return Err("has other strides for rows than for columns");
        }
        let padding = match self.padding {
            padding if [top, left, bottom, right] == [0; 4] => padding,
            Padding::Same => return Err("pads by SAME an image already padded"),
            Padding::Explicit {
                top: t,
                bottom: b,
                left: l,
                right: r,
            } => Padding::Explicit {
                top: top.saturating_add(t),
                bottom: bottom.saturating_add(b),
                left: left.saturating_add(l),
                right: right.saturating_add(r),
            },
        };
        Ok(ConvGeometry {
            kernel,
            stride,
            dilation,
            padding,
        })
    }
}

/// A batch normalisation.
#[derive(Debug, Clone)]
pub(crate) struct BatchNorm {
    /// Scale. `None`: ones.
    pub(crate) gamma: Option<String>,
    /// Shift. `None`: zeros.
    pub(crate) beta: Option<String>,
    /// Running mean.
    pub(crate) mean: String,
    /// Running variance.
    pub(crate) variance: String,
    /// Added to the variance.
    pub(crate) epsilon: f64,
}
