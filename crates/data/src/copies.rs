//! Photos of one part of a data set that are in the other, too: what is learnt by heart looks like
//! accuracy.

use mobilenet_photos::fingerprint::{CopyIndex, Fingerprint};
use rayon::prelude::*;

use super::skipped::guarded;
use super::{DataError, ImageDataset};

/// A photo to test with that is a copy of a photo to train on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyOf {
    /// Index of the photo to test with.
    pub test: usize,
    /// Index of the first photo to train on that is the same.
    pub train: usize,
}

/// The photos of `test` that are in `train`, too: equal, or stored again in another quality or size
/// (see [`mobilenet_photos::fingerprint`]), in the order of `test`. Reads every photo once, on the
/// current rayon pool; one that cannot be read is no copy.
pub fn copies(train: &dyn ImageDataset, test: &dyn ImageDataset) -> Vec<CopyOf> {
    let fingerprints = |data: &dyn ImageDataset| -> Vec<Option<Fingerprint>> {
        let indices = (0..data.len()).into_par_iter();
        indices.map(|index| fingerprint(data, index).ok()).collect()
    };
    let (trained, known): (Vec<usize>, Vec<Fingerprint>) = fingerprints(train)
        .into_iter()
        .enumerate()
        .filter_map(|(index, fingerprint)| Some((index, fingerprint?)))
        .unzip();
    let index = CopyIndex::new(&known);
    let tested = fingerprints(test).into_iter().enumerate();
    let copy = |(test, fingerprint): (usize, Option<Fingerprint>)| {
        let first = *index.copies_of(&fingerprint?).first()?;
        let train = trained[first];
        Some(CopyOf { test, train })
    };
    tested.filter_map(copy).collect()
}

fn fingerprint(data: &dyn ImageDataset, index: usize) -> Result<Fingerprint, DataError> {
    guarded(
        || data.name(index),
        || Ok(Fingerprint::of(&data.load(index)?)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Photo;

    /// Photos of one colour each, and a file that is none.
    struct Colours(Vec<Option<u8>>);

    impl ImageDataset for Colours {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn class_names(&self) -> &[String] {
            &[]
        }

        fn label(&self, _: usize) -> usize {
            0
        }

        fn load(&self, index: usize) -> Result<Photo, DataError> {
            let grey = self.0[index].ok_or_else(|| DataError::Settings("no photo".into()))?;
            Ok(Photo::from_pixel(80, 80, [grey; 3].into()))
        }

        fn name(&self, index: usize) -> String {
            index.to_string()
        }
    }

    #[test]
    fn copies_are_named_by_both_indices() {
        let train = Colours(vec![None, Some(10), Some(60), Some(60)]);
        let test = Colours(vec![Some(200), Some(61), None, Some(10)]);
        let found = copies(&train, &test);
        assert_eq!(
            found,
            [CopyOf { test: 1, train: 2 }, CopyOf { test: 3, train: 1 }]
        );
    }
}
