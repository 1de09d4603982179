//! A limit on what a file can make us allocate.

use crate::checkpoint::error::ReadError;

/// Bytes that may still be allocated.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
}

impl Budget {
    pub(super) fn new(limit: u64) -> Self {
        Self { left: limit }
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
