//! ImageNet's classes by WordNet id, as its folders are named.
//!
//! `wordnet.txt` holds the 1,000 ids of ILSVRC-2012 in class order, without background. The list is
//! that of timm 1.0.31 (`timm/data/_info/imagenet_synsets.txt`); timm's names of these ids
//! (`imagenet_synset_to_lemma.txt`) are, line by line, our `imagenet.txt`.

use std::sync::LazyLock;

static IDS: LazyLock<Vec<&str>> = LazyLock::new(|| include_str!("wordnet.txt").lines().collect());

/// The class of an id such as `n02124075`, from 0 to 999. Words may follow the id, as in
/// `n02124075-Egyptian_cat`.
pub(super) fn class(name: &str) -> Option<usize> {
    let (id, rest) = name.trim().split_at_checked(9)?;
    if rest.starts_with(|c: char| c.is_alphanumeric()) {
        return None;
    }
    IDS.binary_search(&id.to_ascii_lowercase().as_str()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::{IMAGENET_CLASSES, Labels};

    #[test]
    fn ids_are_in_class_order() {
        assert_eq!(IDS.len(), IMAGENET_CLASSES - 1);
        assert!(IDS.is_sorted());
        for (id, label) in [
            ("n01440764", "tench, Tinca tinca"),
            ("n02124075", "Egyptian cat"),
            ("n03126707", "crane"),
            ("n15075141", "toilet tissue, toilet paper, bathroom tissue"),
        ] {
            assert_eq!(Labels::ImageNet.name(class(id).unwrap(), 1000), Some(label));
        }
    }

    #[test]
    fn words_may_follow() {
        assert_eq!(class("n02124075-Egyptian_cat"), Some(285));
        assert_eq!(class(" N02124075 "), Some(285));
        for name in [
            "n021240750",
            "n02124075x",
            "n00000000",
            "n0212407",
            "катя катя",
        ] {
            assert_eq!(class(name), None, "{name}");
        }
    }
}
