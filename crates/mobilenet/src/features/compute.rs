//! Features, or anything else, of many photos in parallel.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use mobilenet_model::preprocess::Photo;

use crate::classifier::Classifier;
use crate::error::Error;

/// The features of `photos` photos that `load` reads by number, in their order. Decodes and computes
/// on as many threads as the classifier has; `done` is called after each photo.
///
/// A photo that cannot be used is an error in its place, also one whose decoder panics.
///
/// ```
/// use mobilenet::{Classifier, Error, Photo, features};
///
/// let load = |grey: usize| Ok(Photo::from_pixel(28, 28, [grey as u8 * 50; 3].into()));
/// let rows = features::of_photos::<Error>(&Classifier::fashion_mnist()?, 3, load, || ());
/// assert!(rows.iter().all(|row| row.as_ref().is_ok_and(|row| row.len() == 256)));
/// # Ok::<(), mobilenet::Error>(())
/// ```
pub fn of_photos<E: From<Error> + Send>(
    classifier: &Classifier,
    photos: usize,
    load: impl Fn(usize) -> Result<Photo, E> + Sync,
    done: impl Fn() + Sync,
) -> Vec<Result<Vec<f32>, E>> {
    let features = |photo: &Photo| Ok(classifier.features(photo)?);
    for_photos(photos, classifier.threads(), load, features, done)
}

/// What `of` says of each of `photos` photos that `load` reads by number, in their order, on
/// `threads` threads. As [`of_photos`] otherwise.
pub fn for_photos<T: Send, E: From<Error> + Send>(
    photos: usize,
    threads: usize,
    load: impl Fn(usize) -> Result<Photo, E> + Sync,
    of: impl Fn(&Photo) -> Result<T, E> + Sync,
    done: impl Fn() + Sync,
) -> Vec<Result<T, E>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut results = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= photos {
                return results;
            }
            let result = catch_unwind(AssertUnwindSafe(|| of(&load(index)?)));
            results.push((
                index,
                result.unwrap_or_else(|_| Err(Error::Panicked.into())),
            ));
            done();
        }
    };
    let mut results = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(photos))
            .map(|_| scope.spawn(work))
            .collect();
        let mut results = work();
        for other in others {
            match other.join() {
                Ok(more) => results.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_by_key(|&(index, _)| index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Neighbours;

    #[test]
    fn a_photo_is_nearest_to_itself() {
        let classifier = Classifier::fashion_mnist().unwrap();
        let grey = |level: usize| Ok(Photo::from_pixel(28, 28, [level as u8 * 40; 3].into()));
        let rows = of_photos::<Error>(&classifier, 6, grey, || ());
        let rows: Vec<f32> = rows
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .unwrap()
            .concat();
        let nearest = Neighbours::new(256, rows.clone(), 2).nearest(&rows, 3, 2);
        for (row, nearest) in nearest.iter().enumerate() {
            assert_eq!(nearest[0].row, row);
        }
    }

    #[test]
    fn a_decoder_that_panics_costs_its_photo() {
        let count = AtomicUsize::new(0);
        let load = |index: usize| match index {
            2 => panic!("a fault"),
            _ => Ok(Photo::new(1, 1)),
        };
        let of = |photo: &Photo| Ok(photo.width());
        let done = || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let found = for_photos::<_, Error>(5, 3, load, of, done);
        assert!(matches!(found[2], Err(Error::Panicked)));
        assert_eq!(found.iter().filter(|one| matches!(one, Ok(1))).count(), 4);
        assert_eq!(count.load(Ordering::Relaxed), 5);
    }
}
