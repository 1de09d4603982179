//! Photos to calibrate with and to compare on: which, and what is computed of each.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use mobilenet::features::for_photos;
use mobilenet::model::preprocess::Preprocessing;
use mobilenet::{Error, open_photo};

use super::features::report;
use crate::photo_sources::Sources;
use crate::progress::counting;
use crate::threads::or_all_cores;

/// The photos below a folder.
pub(super) fn of_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    Sources::of_arguments(&[folder.to_path_buf()])?.all()
}

/// Photos of a folder for calibration, at most `most` and evenly spread, and those to compare on: of
/// the folder `test`, or the others, which are at least a fifth.
pub(super) fn split(
    folder: &Path,
    test: Option<&Path>,
    most: usize,
) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let all = of_folder(folder)?;
    let possible = match test {
        Some(_) => all.len(),
        None => (all.len() - all.len() / 5)
            .min(all.len().saturating_sub(1))
            .max(1),
    };
    let count = possible.min(most);
    // The photo with number `n` is taken where `n * count / len` steps to the next whole number.
    let taken = |index: usize| (index + 1) * count / all.len() > index * count / all.len();
    let indices = 0..all.len();
    let (used, held_back): (Vec<usize>, Vec<usize>) = indices.partition(|&index| taken(index));
    let of = |indices: Vec<usize>| {
        indices
            .into_iter()
            .map(|index| all[index].clone())
            .collect()
    };
    match test {
        Some(folder) => Ok((of(used), of_folder(folder)?)),
        None => Ok((of(used), of(held_back))),
    }
}

/// The images of photos. Those that cannot be used are reported.
pub(super) fn pixels(rule: &Preprocessing, files: &[PathBuf]) -> Result<Vec<Vec<f32>>> {
    let of = |photo: &_| rule.pixels(photo).map_err(Error::from);
    let images = each(files, of);
    if images.is_empty() {
        bail!("none of {} photos could be used", files.len());
    }
    Ok(images)
}

/// What `of` says of each photo that can be used, in order.
pub(super) fn each<T: Send>(
    files: &[PathBuf],
    of: impl Fn(&mobilenet::Photo) -> Result<T, Error> + Sync,
) -> Vec<T> {
    let bar = counting(files.len() as u64);
    let load = |index: usize| open_photo(&files[index]);
    let results = for_photos(files.len(), or_all_cores(None), load, of, || bar.inc(1));
    bar.finish_and_clear();
    let results = files.iter().zip(results);
    let used = results.filter_map(|(file, result)| match result {
        Ok(value) => Some(value),
        Err(error) => {
            report(file, &error);
            None
        }
    });
    used.collect()
}
