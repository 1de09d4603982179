//! Limits on what a file can make us read and allocate.

use super::ReadError;

/// Limits of reading, which hold whatever a file says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes of all files of a checkpoint together.
    pub file_bytes: u64,
    /// Bytes of tensors beyond four times the size of the files. A file can describe more than it
    /// holds, for example a constant given by its shape and one value.
    pub extra_bytes: u64,
}

impl Default for ReadLimits {
    /// 1 GiB of files, and 64 MiB of tensors beyond four times the files.
    fn default() -> Self {
        Self {
            file_bytes: 1 << 30,
            extra_bytes: 64 << 20,
        }
    }
}

/// What is left of the limits.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
    file_bytes: u64,
}

impl Budget {
    /// Starts with `extra_bytes`. Each opened file adds four times its size.
    pub(super) fn new(limits: ReadLimits) -> Self {
        Self {
            left: limits.extra_bytes,
            file_bytes: limits.file_bytes,
        }
    }

    /// Bytes of files that may still be read.
    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Counts a file that was read.
    pub(super) fn opened(&mut self, bytes: u64) {
        self.file_bytes = self.file_bytes.saturating_sub(bytes);
        self.left = self.left.saturating_add(bytes.saturating_mul(4));
    }

    /// Takes `bytes` off the budget. To be called before the allocation.
    pub(super) fn take(&mut self, what: &str, bytes: u64) -> Result<(), ReadError> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(ReadError::Memory {
                what: what.to_string(),
                needed: bytes,
                left: self.left,
            }),
        }
    }
}
