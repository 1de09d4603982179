//! What tells the tensors of a file apart: the names of a framework, or the order of a graph.

use std::borrow::Cow;

use super::convention::Framework;
use crate::architecture::{LayerName, Part};
use crate::checkpoint::layout::Layout;
use crate::checkpoint::metadata::Metadata;
use crate::checkpoint::readers::{NamedTensors, RawTensor};

/// The tensor of a parameter.
pub(in crate::checkpoint) struct Found<'a> {
    /// What the file calls it.
    pub(in crate::checkpoint) name: String,
    /// How the file lays it out.
    pub(in crate::checkpoint) layout: Layout,
    /// Its values; owned where the file leaves them out, because they change nothing.
    pub(in crate::checkpoint) tensor: Cow<'a, RawTensor>,
}

/// Which tensor of a file is which parameter.
pub(in crate::checkpoint) trait Names {
    /// Whose names they are.
    fn framework(&self) -> Framework;

    /// What a parameter is called, for messages; the likeliest name first.
    fn names(&self, layer: LayerName, part: Part) -> Vec<String>;

    /// A parameter in the file.
    fn find<'a>(&self, file: &'a NamedTensors, layer: LayerName, part: Part) -> Option<Found<'a>>;

    /// Whether a tensor belongs to the network and holds no parameter: not worth a report.
    fn is_bookkeeping(&self, name: &str) -> bool;

    /// What holds for the network where the file says nothing.
    fn defaults(&self) -> Metadata;
}
