//! One file or folder per command.

pub(crate) mod bench;
pub(crate) mod docs;
pub(crate) mod paper;
mod published;
pub(crate) mod report;
mod scaling;
pub(crate) mod tidy;
