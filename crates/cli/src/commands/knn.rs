//! `knn`: the accuracy of nearest neighbours by features.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use mobilenet::Classifier;
use mobilenet::features::{DatasetFeatures, Neighbours, vote};
use mobilenet::model::labels::Labels;
use mobilenet::train::InClassesOf;
use mobilenet::train::data::{self, ImageDataset, image_folder};
use serde::Serialize;

use super::{copies, features, load};
use crate::args::Knn;
use crate::progress::counting;
use crate::{output, threads};

#[derive(Serialize)]
struct Line {
    images: usize,
    accuracy: f64,
    k: u64,
    images_per_second: f64,
    /// Test photos that are copies of training photos; `null` if they were not looked for.
    copies: Option<usize>,
    accuracy_without_copies: Option<f64>,
}

pub(crate) fn run(arguments: &Knn) -> Result<()> {
    let (train, test) = open(arguments)?;
    let threads = threads::or_all_cores(arguments.threads);
    let network = features::network(load(&arguments.weights)?, &arguments.preprocess, threads)?;
    let copies = copies::warn(&*train, &*test);
    let start = Instant::now();
    let known = rows(&network, &*train)?;
    let asked = rows(&network, &*test)?;
    let neighbours = Neighbours::new(known.width, known.values, threads);
    let nearest = neighbours.nearest(&asked.values, arguments.k as usize, threads);
    let right: Vec<bool> = nearest
        .iter()
        .zip(&asked.labels)
        .map(|(nearest, label)| vote(nearest, &known.labels) == Some(*label))
        .collect();
    let photos = known.labels.len() + right.len();
    let clean: Option<Vec<bool>> = copies.as_ref().map(|copies| {
        let clean = right.iter().zip(&asked.indices);
        let clean = clean.filter(|(_, index)| !copies.contains(index));
        clean.map(|(&right, _)| right).collect()
    });
    let line = Line {
        images: right.len(),
        accuracy: share(&right),
        k: arguments.k,
        images_per_second: photos as f64 / start.elapsed().as_secs_f64(),
        copies: copies.as_ref().map(Vec::len),
        accuracy_without_copies: clean
            .as_deref()
            .filter(|clean| !clean.is_empty())
            .map(share),
    };
    if arguments.json {
        return output::json(&line);
    }
    output::line(format!(
        "accuracy {:.2} % on {} photos by the nearest of {}, {:.0} photos a second",
        100.0 * line.accuracy,
        line.images,
        known.labels.len(),
        line.images_per_second
    ))?;
    if let (Some(clean), Some(copies @ 1..)) = (line.accuracy_without_copies, line.copies) {
        let images = line.images.saturating_sub(copies);
        output::line(format!(
            "{:.2} % on the {images} that are no copies of training photos",
            100.0 * clean
        ))?;
    }
    Ok(())
}

fn share(right: &[bool]) -> f64 {
    right.iter().filter(|&&right| right).count() as f64 / right.len().max(1) as f64
}

/// Both parts, in the classes of the training part.
fn open(arguments: &Knn) -> Result<(Arc<dyn ImageDataset>, Arc<dyn ImageDataset>)> {
    let Some(test) = &arguments.test else {
        let data = data::open(&arguments.train.to_string_lossy())?;
        let test = data
            .test
            .context("there is no test part; name one as TEST")?;
        return Ok((data.train, test));
    };
    let train = image_folder::open_whole(&arguments.train)?;
    let classes = train.class_names().len();
    let labels = Labels::Names(train.class_names().to_vec());
    let test = Arc::new(image_folder::open_whole(test)?);
    let test = InClassesOf::new(test, &labels, classes, None)
        .with_context(|| format!("expected the classes of {}", arguments.train.display()))?;
    Ok((Arc::new(train), Arc::new(test)))
}

/// Features of the photos that can be used; reports the others.
fn rows(network: &Classifier, data: &dyn ImageDataset) -> Result<DatasetFeatures> {
    let bar = counting(data.len() as u64);
    let rows = DatasetFeatures::of(network, data, || bar.inc(1))?;
    bar.finish_and_clear();
    for photo in &rows.skipped {
        eprintln!("skipped {}: {}", photo.name, photo.reason);
    }
    Ok(rows)
}
