//! `duplicates`: photos that are there more than once.

use std::path::PathBuf;

use anyhow::{Result, bail};
use mobilenet::features::{Neighbours, for_photos, groups};
use mobilenet::model::preprocess::fingerprint::{CopyIndex, Fingerprint};
use mobilenet::{Error, open_photo};
use serde::Serialize;

use super::features::{network, report, table};
use super::load;
use crate::args::Duplicates;
use crate::photo_sources::Sources;
use crate::progress::counting;
use crate::{output, threads};

#[derive(Serialize)]
struct Line<'a> {
    photos: Vec<&'a str>,
}

/// Names of the photos that can be used, and the pairs among them.
type Pairs = (Vec<String>, Vec<(usize, usize)>);

pub(crate) fn run(arguments: &Duplicates) -> Result<()> {
    let files = Sources::of_arguments(&arguments.photos)?.all()?;
    let threads = threads::or_all_cores(arguments.threads);
    let (names, pairs) = match arguments.threshold {
        Some(threshold) => alike(arguments, &files, threshold, threads)?,
        None => the_same(&files, threads),
    };
    let groups = groups(names.len(), &pairs);
    for group in &groups {
        let photos: Vec<&str> = group.iter().map(|&at| names[at].as_str()).collect();
        if arguments.json {
            output::json(&Line { photos })?;
        } else {
            output::line(photos.join("\n") + "\n")?;
        }
    }
    let more: usize = groups.iter().map(|group| group.len() - 1).sum();
    if !arguments.json {
        output::line(format!(
            "{} photos: {more} are there already, in {} groups",
            names.len(),
            groups.len()
        ))?;
    }
    let failed = files.len() - names.len();
    if failed > 0 {
        bail!("{failed} of {} photos could not be used", files.len());
    }
    Ok(())
}

/// Photos that are equal, or stored again.
fn the_same(files: &[PathBuf], threads: usize) -> Pairs {
    let bar = counting(files.len() as u64);
    let read = for_photos::<_, Error>(
        files.len(),
        threads,
        |index| open_photo(&files[index]),
        |photo| Ok(Fingerprint::of(photo)),
        || bar.inc(1),
    );
    bar.finish_and_clear();
    let (mut names, mut fingerprints) = (Vec::new(), Vec::new());
    for (file, fingerprint) in files.iter().zip(read) {
        match fingerprint {
            Ok(fingerprint) => {
                names.push(file.display().to_string());
                fingerprints.push(fingerprint);
            }
            Err(error) => report(file, &error),
        }
    }
    let index = CopyIndex::new(&fingerprints);
    let copies = |at: usize| {
        let copies = index.copies_of(&fingerprints[at]);
        copies
            .into_iter()
            .filter(move |&copy| copy < at)
            .map(move |copy| (copy, at))
    };
    let pairs = (0..names.len()).flat_map(copies).collect();
    (names, pairs)
}

/// Photos whose features are near.
fn alike(
    arguments: &Duplicates,
    files: &[PathBuf],
    threshold: f32,
    threads: usize,
) -> Result<Pairs> {
    let network = network(load(&arguments.weights)?, &arguments.preprocess, threads)?;
    let (table, _) = table(&network, files)?;
    let width = table.width();
    let (names, values) = table.into_parts();
    let pairs = Neighbours::new(width, values, threads).pairs(threshold, threads);
    Ok((names, pairs))
}
