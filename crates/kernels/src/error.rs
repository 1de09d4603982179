//! Errors of the kernels, mostly shapes that do not match. Kernels never panic on their arguments.

/// Why a kernel or a program cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// A size that must be positive is zero.
    #[error("{what} must not be zero")]
    Zero {
        /// The size in question.
        what: &'static str,
    },
    /// The dilated kernel is larger than the padded input.
    #[error(
        "a kernel that spans {span} does not fit {axis} of {input} padded by {before} and {after}"
    )]
    KernelTooLarge {
        /// `rows` or `columns`.
        axis: &'static str,
        /// Extent of the dilated kernel.
        span: usize,
        /// Input size along the axis.
        input: usize,
        /// Padding before the input.
        before: usize,
        /// Padding after the input.
        after: usize,
    },
    /// A product of sizes does not fit `usize`.
    #[error("{what} overflows")]
    Overflow {
        /// The size in question.
        what: &'static str,
    },
    /// A network that the kernels cannot compute.
    #[error("not supported: {what}")]
    Unsupported {
        /// What is not supported.
        what: &'static str,
    },
    /// A label is not the index of a class.
    #[error("label {label} of example {example} names none of {classes} classes")]
    Label {
        /// Index in the batch.
        example: usize,
        /// The label.
        label: u32,
        /// Number of classes.
        classes: usize,
    },
    /// Label smoothing is outside `[0, 1]`.
    #[error("label smoothing must lie in [0, 1], found {found}")]
    LabelSmoothing {
        /// The value, as text.
        found: String,
    },
    /// Threads could not be started.
    #[error("cannot start threads: {problem}")]
    Threads {
        /// The reason.
        problem: String,
    },
    /// `MOBILENET_ISA` names an instruction set that cannot be used.
    #[error(transparent)]
    Isa(#[from] crate::simd::IsaError),
    /// A weight is out of range of the type in which it is stored.
    #[error("weight {weight} is beyond the range of {weight_type}")]
    WeightRange {
        /// The largest weight of its layer.
        weight: String,
        /// The type in which it is stored.
        weight_type: crate::simd::WeightType,
    },
    /// A program cannot take 8-bit frames. It needs their normalisation, and a full convolution as
    /// its first layer to fold it into.
    #[error("8-bit frames cannot be taken: {problem}")]
    Frames {
        /// The reason.
        problem: &'static str,
    },
    /// A layer of a network of integers that cannot be computed.
    #[error("layer `{layer}`: {problem}")]
    Layer {
        /// Its name.
        layer: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Values are of another type than the network's.
    #[error("{what} must be {expected}, found {found}")]
    Values {
        /// The values in question.
        what: &'static str,
        /// Their type in the network.
        expected: &'static str,
        /// The type that was given.
        found: &'static str,
    },
    /// The length of a slice does not match its shape.
    #[error("{what} holds {found} values, expected {expected}")]
    Length {
        /// The slice in question.
        what: &'static str,
        /// Length according to the shape.
        expected: usize,
        /// Length of the slice.
        found: usize,
    },
}

/// Checks that the length of a slice matches its shape.
pub(crate) fn check_length(
    what: &'static str,
    found: usize,
    shape: &[usize],
) -> Result<(), KernelError> {
    let expected = volume(what, shape)?;
    if found == expected {
        Ok(())
    } else {
        Err(KernelError::Length {
            what,
            expected,
            found,
        })
    }
}

/// Number of elements of a shape.
pub(crate) fn volume(what: &'static str, shape: &[usize]) -> Result<usize, KernelError> {
    shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
        .ok_or(KernelError::Overflow { what })
}
