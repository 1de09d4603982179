//! `search`: the photos that are most like a photo.

use std::path::Path;

use anyhow::{Context, Result, bail};
use mobilenet::features::{FeatureTable, Neighbours};
use mobilenet::{Classifier, open_photo};
use serde::Serialize;

use super::features::{network, table};
use super::load;
use crate::args::Search;
use crate::photo_sources::Sources;
use crate::{output, threads};

/// Stored features of a photo and those computed now have at least this cosine, whatever processor
/// computed them.
const SAME: f32 = 0.99;

#[derive(Serialize)]
struct Line<'a> {
    photo: &'a str,
    cosine: f32,
}

pub(crate) fn run(arguments: &Search) -> Result<()> {
    let threads = threads::or_all_cores(arguments.threads);
    let network = network(load(&arguments.weights)?, &arguments.preprocess, threads)?;
    let query = network.features(&open_photo(&arguments.query)?)?;
    let (among, failed) = if arguments.among.is_dir() {
        let files = Sources::of_arguments(std::slice::from_ref(&arguments.among))?.all()?;
        table(&network, &files)?
    } else {
        let stored = FeatureTable::read(&arguments.among)?;
        check(&network, &stored, query.len())
            .with_context(|| format!("cannot search in {}", arguments.among.display()))?;
        (stored, 0)
    };
    let (names, values) = among.into_parts();
    let neighbours = Neighbours::new(query.len(), values, threads);
    for nearest in neighbours.nearest(&query, arguments.top as usize, threads) {
        for neighbour in nearest {
            let (photo, cosine) = (names[neighbour.row].as_str(), neighbour.cosine);
            if arguments.json {
                output::json(&Line { photo, cosine })?;
            } else {
                output::line(format!("{cosine:.4}  {photo}"))?;
            }
        }
    }
    if failed > 0 {
        bail!("{failed} photos could not be used");
    }
    Ok(())
}

/// Whether stored features are of these weights, as far as that can be known.
fn check(network: &Classifier, stored: &FeatureTable, width: usize) -> Result<()> {
    if stored.width() != width {
        bail!(
            "its rows have {} features, and the weights give {width}: it was written with others",
            stored.width()
        );
    }
    let there = stored.names().iter().zip(stored.values().chunks(width));
    let mut photos = there.filter_map(|(name, row)| Some((name, row, open(name)?)));
    let Some((name, row, photo)) = photos.next() else {
        return Ok(());
    };
    let now = Neighbours::new(width, network.features(&photo)?, 1);
    let same = now.nearest(row, 1, 1);
    if same.iter().flatten().any(|one| one.cosine < SAME) {
        bail!("its features of {name} are not those of the weights: it was written with others");
    }
    Ok(())
}

fn open(name: &str) -> Option<mobilenet::Photo> {
    Path::new(name).is_file().then(|| open_photo(name).ok())?
}
