//! One file or folder per command.

pub(crate) mod bench;
pub(crate) mod docs;
mod published;
pub(crate) mod report;
mod scaling;
pub(crate) mod tidy;
