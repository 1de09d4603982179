//! Errors of reading a file's bytes.

/// An error in the bytes of a file, found before anything is known of the network.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file breaks the rules of its format.
    #[error("{place}: {problem}")]
    Malformed {
        /// Where in the file.
        place: String,
        /// What is wrong there.
        problem: String,
    },
    /// One tensor is broken.
    #[error("tensor `{tensor}`: {problem}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Reading on would take more memory than allowed.
    #[error("{what} needs {needed} bytes, more than the {left} left of the limit")]
    Memory {
        /// What would be allocated.
        what: String,
        /// Bytes of the allocation.
        needed: u64,
        /// Bytes that are left.
        left: u64,
    },
}

impl ReadError {
    pub(crate) fn malformed(place: impl Into<String>, problem: impl ToString) -> Self {
        Self::Malformed {
            place: place.into(),
            problem: problem.to_string(),
        }
    }

    pub(crate) fn tensor(tensor: impl Into<String>, problem: impl ToString) -> Self {
        Self::Tensor {
            tensor: tensor.into(),
            problem: problem.to_string(),
        }
    }
}
