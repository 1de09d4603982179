//! The known frameworks, one row each. This is the only list of them.

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
    /// The framework's row. [`Framework::Graph`] has none, since it has no names.
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
        // `Graph` is the last variant and has no row, so this fails when a variant is added before
        // it.
        assert_eq!(CONVENTIONS.len(), Framework::Graph as usize);
        for (index, row) in CONVENTIONS.iter().enumerate() {
            assert_eq!(row.framework as usize, index, "{}", row.framework);
        }
        assert!(Framework::Graph.convention().is_none());
    }
}
