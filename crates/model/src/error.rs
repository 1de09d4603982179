//! What the model refuses: the cases in which slim raises `ValueError`, typed.

use mobilenet_kernels::KernelError;
use mobilenet_kernels::simd::IsaError;

use crate::array::ShapeError;

/// A network that cannot be built, or an input that it cannot take.
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
    /// The network was built for another number of input channels.
    #[error("expected {expected} input channels, found {found} in an input of shape {shape:?}")]
    InputChannels {
        /// Channels that the network takes.
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
    /// A setting out of its range.
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
        /// What does not fit.
        source: KernelError,
    },
    /// A parameter that is not there.
    #[error("parameter {name} is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A parameter of another shape.
    #[error("parameter {name} has shape {found:?}, expected {expected:?}")]
    ParameterShape {
        /// Its name.
        name: String,
        /// Shape that the network has.
        expected: Vec<usize>,
        /// Shape that was given.
        found: Vec<usize>,
    },
    /// Another number of values than the network has parameters.
    #[error("{found} parameters, expected {expected}")]
    ParameterCount {
        /// Number that the network has.
        expected: usize,
        /// Number that was given.
        found: usize,
    },
    /// From the kernels: a length or a size that does not fit, threads that cannot be started.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The instruction set that `MOBILENET_ISA` names cannot be used.
    #[error(transparent)]
    Isa(#[from] IsaError),
    /// Values that do not fill their shape.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// From candle: a tensor that is missing or of a wrong shape, a device failure.
    #[cfg(feature = "candle")]
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
