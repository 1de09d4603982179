//! `eval`: measures the accuracy of weights on a data set.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use mobilenet::train::data::{self, ImageDataset, image_folder, photo_list};
use mobilenet::train::evaluation::{EvaluationOptions, evaluate};
use serde::Serialize;

use super::{load, with_rule};
use crate::args::Eval;
use crate::output;
use crate::progress::counting;

#[derive(Serialize)]
struct Line {
    images: u64,
    accuracy: f64,
    recall_5: f64,
    images_per_second: f64,
}

pub(crate) fn run(arguments: &Eval) -> Result<()> {
    let mut checkpoint = load(&arguments.weights)?;
    let metadata = &mut checkpoint.metadata;
    if let Some(rule) = arguments.preprocess {
        metadata.preprocessing = with_rule(&metadata.preprocessing, rule);
    }
    if let Some(views) = arguments.views {
        metadata.preprocessing.views = views.into();
    }
    let Some(classes) = metadata.classes else {
        bail!("{} has no classifier", arguments.weights);
    };
    let data = open(arguments)?;
    let of_data = data.class_names().len();
    let background = (classes, of_data) == (1001, 1000);
    let threads = arguments.threads.map(|threads| threads as usize);
    let options = EvaluationOptions {
        batch_size: arguments.batch_size as usize,
        threads: threads
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
        max_skipped_share: arguments.max_skipped,
        worst: 0,
        label_offset: arguments.label_offset.unwrap_or(u32::from(background)),
    };
    let bar = counting(data.len() as u64);
    let metadata = &checkpoint.metadata;
    let outcome = evaluate(
        &metadata.config(),
        &checkpoint.parameters,
        &metadata.preprocessing,
        data,
        &options,
        &mut |photos| bar.inc(photos as u64),
    )?;
    bar.finish_and_clear();
    for photo in &outcome.skipped {
        eprintln!("skipped {}: {}", photo.name, photo.reason);
    }
    let accuracy = outcome.evaluation.accuracy();
    let line = Line {
        images: accuracy.images(),
        accuracy: accuracy.accuracy(),
        recall_5: accuracy.recall_5(),
        images_per_second: accuracy.images() as f64 / outcome.elapsed.as_secs_f64(),
    };
    if arguments.json {
        return output::json(&line);
    }
    output::line(format!(
        "accuracy {:.2} %, recall at 5 {:.2} % on {} photos, {:.0} photos a second",
        100.0 * line.accuracy,
        100.0 * line.recall_5,
        line.images,
        line.images_per_second
    ))
}

/// Opens the part of the data to evaluate on.
fn open(arguments: &Eval) -> Result<Arc<dyn ImageDataset>> {
    let folder = Path::new(&arguments.data);
    if let Some(labels) = &arguments.labels {
        return Ok(Arc::new(photo_list::open(folder, labels, None)?));
    }
    let has_parts = ["train", "test", "validation", "val"]
        .iter()
        .any(|part| folder.join(part).is_dir());
    // Class folders without train and test parts: evaluate on all of them.
    if folder.is_dir() && !has_parts && image_folder::open_whole(folder).is_ok() {
        return Ok(Arc::new(image_folder::open_whole(folder)?));
    }
    let data = data::open(&arguments.data)?;
    Ok(data.test.unwrap_or(data.train))
}
