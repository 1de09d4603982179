//! The frameworks whose names are known: one row each, and nothing else knows them all.

use std::fmt;

use super::convention::{Convention, Framework};
use super::{hugging_face, keras, keras_counted, ours, slim, timm};

/// In the order in which they are tried.
pub(super) static CONVENTIONS: [Convention; 6] = [
    ours::CONVENTION,
    slim::CONVENTION,
    hugging_face::CONVENTION,
    timm::CONVENTION,
    keras::CONVENTION,
    keras_counted::CONVENTION,
];

impl Framework {
    /// Its row; none for [`Framework::Graph`], which knows no names.
    pub(in crate::checkpoint) fn convention(self) -> Option<&'static Convention> {
        CONVENTIONS.iter().find(|row| row.framework == self)
    }
}

impl fmt::Display for Framework {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.convention().map_or("its own graph", |row| row.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_framework_with_names_has_one_row() {
        // The last variant, which has none; a new one before it shows here.
        assert_eq!(CONVENTIONS.len(), Framework::Graph as usize);
        for (index, row) in CONVENTIONS.iter().enumerate() {
            assert_eq!(row.framework as usize, index, "{}", row.framework);
        }
        assert!(Framework::Graph.convention().is_none());
    }
}
