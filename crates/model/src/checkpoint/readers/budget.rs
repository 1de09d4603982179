//! A limit on what files can make us allocate.

use super::ReadError;

/// What reading may take, whatever the files say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes of all files of a checkpoint together.
    pub file_bytes: u64,
    /// Bytes of tensors beyond four times the files: a file can describe more than it holds, for
    /// example a constant by its shape and one value.
    pub extra_bytes: u64,
}

impl Default for ReadLimits {
    /// 1 GiB of files, 64 MiB beyond four times the files.
    fn default() -> Self {
        Self {
            file_bytes: 1 << 30,
            extra_bytes: 64 << 20,
        }
    }
}

/// Bytes that may still be allocated for tensors, and read from files.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
    file_bytes: u64,
}

impl Budget {
    /// `extra_bytes`, and four times the bytes of each file that is opened.
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

    /// Counts a file.
    pub(super) fn opened(&mut self, bytes: u64) {
        self.file_bytes = self.file_bytes.saturating_sub(bytes);
        self.left = self.left.saturating_add(bytes.saturating_mul(4));
    }

    /// To be asked before the allocation.
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
