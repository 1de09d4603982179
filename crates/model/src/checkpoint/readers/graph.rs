//! A network as its file describes it: operations, which tensors they take and give. Every format
//! that holds a graph is brought to this vocabulary, in which nothing is MobileNet's.

use mobilenet_kernels::Padding;

use crate::checkpoint::layout::Layout;

/// Operations in the file's order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    /// What the network is given.
    pub(crate) input: Input,
    /// The operations.
    pub(crate) operations: Vec<Operation>,
}

/// The image that a network takes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Input {
    /// Name of the tensor.
    pub(crate) name: String,
    /// Rows and columns, where they are fixed.
    pub(crate) size: Option<[usize; 2]>,
    /// How 8-bit samples 0 to 255 become the network's numbers, where the network is quantised.
    pub(crate) samples: Option<Samples>,
}

/// `x = scale * (sample - zero_point)`, of samples 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Samples {
    /// Step between two samples.
    pub(crate) scale: f32,
    /// The sample that means 0.
    pub(crate) zero_point: i64,
}

/// One operation.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// Its name, for messages.
    pub(crate) name: String,
    /// Names of the tensors that it takes and that other operations give.
    pub(crate) inputs: Vec<String>,
    /// Name of the tensor that it gives.
    pub(crate) output: String,
    /// What it does.
    pub(crate) kind: OperationKind,
}

/// What an operation does. Parameters are names of tensors of the same file.
#[derive(Debug, Clone)]
pub(crate) enum OperationKind {
    /// Convolution.
    Conv(Conv),
    /// Batch normalisation.
    BatchNorm(BatchNorm),
    /// Matrix product: a classifier.
    Dense {
        /// The matrix.
        weights: String,
        /// Its layout.
        layout: Layout,
        /// One value an output.
        bias: Option<String>,
    },
    /// Activation, by our names `relu6` and `relu`, or by the file's.
    Activation(String),
    /// Zeros around the image: top, left, bottom, right.
    Pad([usize; 4]),
    /// Average over a window; over the whole image without one.
    AveragePool(Option<[usize; 2]>),
    /// Elementwise, with a tensor of the file.
    Arithmetic {
        /// Which.
        operator: Operator,
        /// The other operand.
        operand: String,
    },
    /// Changes shapes or nothing.
    PassThrough,
    /// Reads the shape of a tensor and not its values.
    Shape,
    /// Anything else, by the file's name.
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

/// A convolution.
#[derive(Debug, Clone)]
pub(crate) struct Conv {
    /// Its weights.
    pub(crate) weights: String,
    /// Their layout.
    pub(crate) layout: Layout,
    /// Whether each channel has filters of its own.
    pub(crate) depthwise: bool,
    /// One value an output channel.
    pub(crate) bias: Option<String>,
    /// Step between outputs, rows and columns.
    pub(crate) stride: [usize; 2],
    /// Step between taps, rows and columns.
    pub(crate) dilation: [usize; 2],
    /// Zeros around its input.
    pub(crate) padding: Padding,
    /// What follows.
    pub(crate) activation: Option<String>,
}

/// A batch normalisation.
#[derive(Debug, Clone)]
pub(crate) struct BatchNorm {
    /// Scale; ones where there is none.
    pub(crate) gamma: Option<String>,
    /// Shift; zeros where there is none.
    pub(crate) beta: Option<String>,
    /// Running mean.
    pub(crate) mean: String,
    /// Running variance.
    pub(crate) variance: String,
    /// Added to the variance.
    pub(crate) epsilon: f64,
}
