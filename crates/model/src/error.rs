//! Errors of the model. Where slim raises `ValueError`, there is a variant.

use mobilenet_kernels::KernelError;
use mobilenet_kernels::simd::IsaError;

use crate::array::ShapeError;

/// A network that cannot be built, or an input that does not fit it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// slim: "depth_multiplier is not greater than zero".
    #[error("depth_multiplier must be greater than zero, was {found}")]
    DepthMultiplier {
        /// The value given.
        found: f64,
    },
    /// slim: "Only allowed output_stride values are 8, 16, 32".
    #[error("output_stride must be 8, 16 or 32, was {found}")]
    OutputStride {
        /// The value given.
        found: usize,
    },
    /// slim: "Unknown final endpoint".
    #[error("unknown endpoint `{name}`")]
    UnknownEndpoint {
        /// The name given.
        name: String,
    },
    /// slim: "Invalid input tensor rank, expected 4, was: N".
    #[error("invalid input tensor rank, expected 4, was: {found}")]
    Rank {
        /// Rank of the input.
        found: usize,
    },
    /// The input has another number of channels than the network.
    #[error("expected {expected} input channels, found {found} in an input of shape {shape:?}")]
    InputChannels {
        /// Input channels of the network.
        expected: usize,
        /// Channels of the input.
        found: usize,
        /// Shape of the input, `[B, C, H, W]`.
        shape: Vec<usize>,
    },
    /// The pooled map is larger than one pixel and cannot be squeezed.
    #[error(
        "the pooled map is {height}x{width}, not 1x1, and cannot be squeezed: \
         use global_pool, or spatial_squeeze = false"
    )]
    NotSqueezable {
        /// Rows after pooling.
        height: usize,
        /// Columns after pooling.
        width: usize,
    },
    /// A setting is out of range.
    #[error("{setting} must be {range}, was {found}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// Allowed values.
        range: &'static str,
        /// The value given.
        found: String,
    },
    /// The input is too small for the window of a layer.
    #[error("layer {layer}: {source}")]
    Geometry {
        /// Name of the layer.
        layer: String,
        /// The cause.
        source: KernelError,
    },
    /// Branches of a network meet, but their maps differ.
    #[error("branches end in maps of different shapes: {found:?}")]
    Branches {
        /// Rows, columns and channels of each branch.
        found: Vec<[usize; 3]>,
    },
    /// The network has something that is only counted here.
    #[error("the network cannot be computed here: {what}")]
    NotComputed {
        /// What it has.
        what: String,
    },
    /// A parameter is missing.
    #[error("parameter {name} is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A parameter has another shape.
    #[error("parameter {name} has shape {found:?}, expected {expected:?}")]
    ParameterShape {
        /// Its name.
        name: String,
        /// Shape in the network.
        expected: Vec<usize>,
        /// Shape that was given.
        found: Vec<usize>,
    },
    /// The number of values differs from the number of parameters in the network.
    #[error("{found} parameters, expected {expected}")]
    ParameterCount {
        /// Number in the network.
        expected: usize,
        /// Number that was given.
        found: usize,
    },
    /// From the kernels: a wrong length or size, or threads that cannot be started.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The instruction set in `MOBILENET_ISA` cannot be used.
    #[error(transparent)]
    Isa(#[from] IsaError),
    /// Values do not fit a shape.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// From candle: a tensor is missing or has a wrong shape, or a device failed.
    #[cfg(feature = "candle")]
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
