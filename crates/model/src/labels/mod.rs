//! From class numbers to names, and back.

mod matching;
mod wordnet;

pub use matching::{ClassMatch, MatchError, MatchedBy, Problems, match_classes};

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// The 1001 names of slim's ImageNet labels, one per line. Line 0 is the background class, followed
/// by the synsets in alphabetical order of their ids.
static IMAGENET: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("imagenet.txt").lines().collect());

/// Number of ImageNet classes with slim's background class.
pub const IMAGENET_CLASSES: usize = 1001;

/// Names of a network's classes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Labels {
    /// ImageNet: slim's 1001 classes with background first, or the 1000 classes without it.
    ImageNet,
    /// The names themselves, in class order.
    Names(Vec<String>),
    /// The names are not known.
    #[default]
    Unknown,
}

impl Labels {
    /// ImageNet's names if the number of classes is ImageNet's, otherwise unknown.
    pub fn for_classes(classes: usize) -> Self {
        if classes == IMAGENET_CLASSES || classes == IMAGENET_CLASSES - 1 {
            Self::ImageNet
        } else {
            Self::Unknown
        }
    }

    /// Name of class `class` in a network of `classes` classes.
    pub fn name(&self, class: usize, classes: usize) -> Option<&str> {
        match self {
            Self::ImageNet => {
                let background = IMAGENET_CLASSES.checked_sub(classes)?;
                IMAGENET.get(class.checked_add(background)?).copied()
            }
            Self::Names(names) => names.get(class).map(String::as_str),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_numberings_name_the_same_classes() {
        assert_eq!(IMAGENET.len(), IMAGENET_CLASSES);
        assert_eq!(Labels::ImageNet.name(0, 1001), Some("background"));
        assert_eq!(Labels::ImageNet.name(286, 1001), Some("Egyptian cat"));
        assert_eq!(Labels::ImageNet.name(285, 1000), Some("Egyptian cat"));
        assert_eq!(Labels::ImageNet.name(0, 1000), Some("tench, Tinca tinca"));
        assert_eq!(
            Labels::ImageNet.name(1000, 1001),
            Some("toilet tissue, toilet paper, bathroom tissue")
        );
        assert_eq!(Labels::ImageNet.name(1001, 1001), None);
        assert_eq!(Labels::ImageNet.name(0, 2000), None);
    }

    #[test]
    fn own_names_and_none() {
        let names = Labels::Names(vec!["cat".into(), "dog".into()]);
        assert_eq!(names.name(1, 2), Some("dog"));
        assert_eq!(names.name(2, 2), None);
        assert_eq!(Labels::for_classes(10).name(3, 10), None);
        assert_eq!(Labels::for_classes(1000), Labels::ImageNet);
    }
}
