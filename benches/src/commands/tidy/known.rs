//! Exceptions from the rules. An exception that is no longer needed is an error.

use super::circles::Known;

/// Imports that close circles among files.
pub(super) const IMPORTS: [Known; 0] = [];

/// Files of kernels that mention the network.
pub(super) const MENTIONS: [&str; 0] = [];
