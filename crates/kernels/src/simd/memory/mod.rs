//! Memory on cache lines, and memory that threads share.

mod aligned;
mod shared;

pub use aligned::AlignedBuffer;
pub(crate) use shared::SharedBuffer;
