//! A framework's names in a file, which may all have a prefix.

use super::convention::{Convention, Framework};
use super::names::{Found, Names};
use super::table::CONVENTIONS;
use super::training;
use crate::architecture::{LayerName, Part};
use crate::checkpoint::layout::Layout;
use crate::checkpoint::metadata::Metadata;
use crate::checkpoint::readers::NamedTensors;

/// The framework of a file's names, and the prefix that all of them have. The prefix may be the
/// scope of a graph (`MobilenetV1/`, `FeatureExtractor/MobilenetV1/`), or keys and modules of
/// PyTorch (`state_dict.module.`).
pub(in crate::checkpoint) struct NameMap {
    convention: &'static Convention,
    prefix: String,
    averages: bool,
}

impl NameMap {
    /// A framework's names with the prefix that the framework itself writes.
    pub(in crate::checkpoint) fn new(convention: &'static Convention) -> Self {
        Self {
            convention,
            prefix: convention.prefix.to_string(),
            averages: false,
        }
    }

    /// The names of every framework.
    pub(in crate::checkpoint) fn all() -> impl Iterator<Item = Self> {
        CONVENTIONS.iter().map(Self::new)
    }

    /// Recognises a framework by the name of the first convolution. Of several copies, the one with
    /// the shortest prefix is taken, because the others are parts of something larger. With
    /// `averages`, copies whose prefix marks them as averages come first.
    pub(in crate::checkpoint) fn detect<'a>(
        names: impl Iterator<Item = &'a str> + Clone,
        averages: bool,
    ) -> Option<Self> {
        CONVENTIONS.iter().find_map(|convention| {
            let prefixes = names
                .clone()
                .filter_map(|name| {
                    let mut first = convention.first.iter();
                    first.find_map(|suffix| name.strip_suffix(suffix))
                })
                .filter(|prefix| prefix.is_empty() || prefix.ends_with(['/', '.']));
            let prefix = prefixes.min_by_key(|prefix| {
                let average = training::of(prefix) == Some(training::AVERAGES);
                (average != averages, prefix.len())
            })?;
            Some(Self {
                convention,
                prefix: prefix.to_string(),
                averages,
            })
        })
    }

    /// Layout of a parameter in the framework.
    pub(in crate::checkpoint) fn layout(&self, layer: LayerName, part: Part) -> Layout {
        match part {
            Part::Weights => (self.convention.weights)(layer),
            _ => Layout::Same,
        }
    }
}

impl Names for NameMap {
    fn framework(&self) -> Framework {
        self.convention.framework
    }

    fn names(&self, layer: LayerName, part: Part) -> Vec<String> {
        (self.convention.names)(&self.prefix, layer, part)
    }

    fn find(&self, file: &NamedTensors, layer: LayerName, part: Part) -> Option<Found> {
        let names = self.names(layer, part);
        let averages = names
            .iter()
            .filter(|_| self.averages)
            .map(|name| format!("{name}{}", training::SHADOW));
        let mut candidates = averages.chain(names.iter().cloned());
        candidates.find_map(|name| {
            Some(Found {
                tensor: file.tensors.get(&name)?.clone(),
                layout: self.layout(layer, part),
                name,
            })
        })
    }

    fn is_bookkeeping(&self, name: &str) -> bool {
        (self.convention.is_bookkeeping)(name)
    }

    fn defaults(&self) -> Metadata {
        (self.convention.defaults)()
    }
}
