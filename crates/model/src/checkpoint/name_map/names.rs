//! How parameters are found in a file: by a framework's names, or by the order of a graph.

use super::convention::Framework;
use crate::architecture::{LayerName, Part};
use crate::checkpoint::layout::Layout;
use crate::checkpoint::metadata::Metadata;
use crate::checkpoint::readers::{NamedTensors, RawTensor};

/// The tensor of a parameter.
pub(in crate::checkpoint) struct Found {
    /// Its name in the file.
    pub(in crate::checkpoint) name: String,
    /// Its layout in the file.
    pub(in crate::checkpoint) layout: Layout,
    /// Its values, shared with the file's.
    pub(in crate::checkpoint) tensor: RawTensor,
}

/// Finds the tensors of parameters in a file.
pub(in crate::checkpoint) trait Names {
    /// The framework of the names.
    fn framework(&self) -> Framework;

    /// Names of a parameter for messages, the likeliest first.
    fn names(&self, layer: LayerName, part: Part) -> Vec<String>;

    /// Finds a parameter in the file.
    fn find(&self, file: &NamedTensors, layer: LayerName, part: Part) -> Option<Found>;

    /// Whether a tensor of the network holds no parameter, so that it need not be reported.
    fn is_bookkeeping(&self, name: &str) -> bool;

    /// Metadata of the network, for what the file does not say.
    fn defaults(&self) -> Metadata;
}
