//! Buffers that are aligned to cache lines, and buffers that threads share.

mod aligned;
mod shared;

pub use aligned::AlignedBuffer;
pub(crate) use shared::SharedBuffer;
