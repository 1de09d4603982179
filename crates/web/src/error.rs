//! Why the module refuses something. The texts are for people: the page shows them.

use mobilenet_kernels::KernelError;

/// An error of the module.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WebError {
    /// Calls came in an order that makes no sense.
    #[error("{0}")]
    Order(&'static str),
    /// A description ends too early.
    #[error("the description of the {0} is too short")]
    Short(&'static str),
    /// A number of a description is none of those that are known.
    #[error("{what} cannot be {found}")]
    Unknown {
        /// What the number stands for.
        what: &'static str,
        /// The number.
        found: u32,
    },
    /// A size is beyond what the module computes.
    #[error("{what} must be from 1 to {most}, found {found}")]
    Size {
        /// What is too large, or zero.
        what: &'static str,
        /// The largest that is possible.
        most: usize,
        /// What was found.
        found: usize,
    },
    /// A network says that it has more weights than its file has bytes.
    #[error("the network has {weights} weights, its file only {bytes} bytes of them")]
    Weights {
        /// Number of weights.
        weights: usize,
        /// Bytes of all tensors.
        bytes: usize,
    },
    /// A layer's bytes are not as many as its shape needs.
    #[error("layer {layer} has {found} bytes, expected {expected}")]
    Bytes {
        /// Index of the layer; the classifier is the last one.
        layer: usize,
        /// Number according to the shape.
        expected: usize,
        /// Number that came.
        found: usize,
    },
    /// A weight is NaN or infinite.
    #[error("a weight of layer {layer} is no finite number")]
    NotFinite {
        /// Index of the layer; the classifier is the last one.
        layer: usize,
    },
    /// The kernels refuse the network.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// Checks a size.
pub(crate) fn check_size(what: &'static str, found: usize, most: usize) -> Result<(), WebError> {
    match found {
        1.. if found <= most => Ok(()),
        _ => Err(WebError::Size { what, most, found }),
    }
}
