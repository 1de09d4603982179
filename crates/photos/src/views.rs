//! Views: a photo that is looked at several times, each time another part or form of it. The
//! probabilities of all views are averaged.

use serde::{Deserialize, Serialize};

/// How many views of a photo are averaged. Each takes the network's whole time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Views {
    /// One, by the resize rule.
    #[default]
    One,
    /// The whole photo squeezed to the size, and the centre by the resize rule.
    Two,
    /// Four corners and the centre, each of them also mirrored, as in AlexNet.
    Ten,
}

impl Views {
    /// How many there are.
    pub fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Ten => 10,
        }
    }

    /// Whether there is one, of which files say nothing.
    pub(super) fn is_one(&self) -> bool {
        *self == Self::One
    }
}
