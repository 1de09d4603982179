//! One file or folder per command.

pub(crate) mod bench;
pub(crate) mod docs;
pub(crate) mod paper;
pub(crate) mod report;
pub(crate) mod tidy;
