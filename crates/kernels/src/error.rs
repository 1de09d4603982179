//! What a kernel refuses: shapes that do not fit. Kernels never panic on their arguments.

/// A convolution or buffer that does not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// A size that must be positive is zero.
    #[error("{what} must not be zero")]
    Zero {
        /// The size in question.
        what: &'static str,
    },
    /// The dilated kernel does not fit the padded input.
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
    /// A label names no class.
    #[error("label {label} of example {example} names none of {classes} classes")]
    Label {
        /// Index in the batch.
        example: usize,
        /// The label.
        label: u32,
        /// Number of classes.
        classes: usize,
    },
    /// Label smoothing is no share.
    #[error("label smoothing must lie in [0, 1], found {found}")]
    LabelSmoothing {
        /// The value, as text.
        found: String,
    },
    /// Threads could not be started.
    #[error("cannot start threads: {problem}")]
    Threads {
        /// Why not.
        problem: String,
    },
    /// `MOBILENET_ISA` names an instruction set that cannot be used.
    #[error(transparent)]
    Isa(#[from] crate::simd::IsaError),
    /// A weight is beyond the range of the type that it is to be stored in.
    #[error("weight {weight} is beyond the range of {weight_type}")]
    WeightRange {
        /// The largest weight of its layer.
        weight: String,
        /// The type.
        weight_type: crate::simd::WeightType,
    },
    /// 8-bit frames need a normalisation, and a full convolution to fold it into.
    #[error("8-bit frames cannot be taken: {problem}")]
    Frames {
        /// Why not.
        problem: &'static str,
    },
    /// A slice has another length than its shape says.
    #[error("{what} holds {found} values, expected {expected}")]
    Length {
        /// The slice in question.
        what: &'static str,
        /// Length that the shape asks for.
        expected: usize,
        /// Length of the slice.
        found: usize,
    },
}

/// Checks that a slice has the length that its shape asks for.
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
