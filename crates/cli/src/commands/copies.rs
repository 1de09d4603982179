//! A warning of photos that are in both parts of a data set.

use mobilenet::train::data::{self, ImageDataset};

/// Most photos that are looked at: reading them takes minutes.
const MOST_PHOTOS: usize = 20_000;

/// Pairs that are named.
const NAMED: usize = 3;

/// Numbers of the test photos that are in the training part, too; warns of them. Of large data sets
/// `None`.
pub(super) fn warn(train: &dyn ImageDataset, test: &dyn ImageDataset) -> Option<Vec<usize>> {
    if train.len() + test.len() > MOST_PHOTOS {
        eprintln!(
            "more than {MOST_PHOTOS} photos: not looked for copies in both parts; `duplicates` \
             finds them"
        );
        return None;
    }
    let copies = data::copies(train, test);
    if !copies.is_empty() {
        eprintln!(
            "warning: {} of {} test photos are copies of training photos, so that the accuracy is \
             too good:",
            copies.len(),
            test.len()
        );
        for copy in copies.iter().take(NAMED) {
            eprintln!("  {} is {}", test.name(copy.test), train.name(copy.train));
        }
        if copies.len() > NAMED {
            eprintln!("  and {} more", copies.len() - NAMED);
        }
    }
    Some(copies.into_iter().map(|copy| copy.test).collect())
}
