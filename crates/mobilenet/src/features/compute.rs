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
