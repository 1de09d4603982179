//! `train --head`: trains the classifier alone, on features that are computed once.

use std::path::Path;

use anyhow::{Context, Result, bail};
use mobilenet::Classifier;
use mobilenet::Explainer;
use mobilenet::features::{DatasetFeatures, dataset_key};
use mobilenet::hub::DEFAULT_WEIGHTS;
use mobilenet::model::checkpoint::{Checkpoint, WeightsDtype, save};
use mobilenet::train::TrainError;
use mobilenet::train::data::{ImageDataset, OpenData};
use mobilenet::train::head::{Calibration, Head, HeadOptions};
use mobilenet::train::log::History;
use mobilenet::train::metrics::Evaluation;
use mobilenet::train::report::{Report, worst_photos};
use serde::Serialize;

use super::{copies, features, load};
use crate::args::Train;
use crate::progress::counting;
use crate::{output, threads};

/// Photos of the report.
const WORST: usize = 12;

#[derive(Serialize)]
struct Line {
    epoch: u64,
    accuracy: f64,
    recall_5: f64,
    images: u64,
    /// Test photos that are copies of training photos; `null` if they were not looked for.
    copies: Option<usize>,
    accuracy_without_copies: Option<f64>,
}

/// `trained_on` is what the weights say of the data.
pub(super) fn run(arguments: &Train, data: &OpenData, trained_on: &str) -> Result<()> {
    let weights = arguments.out.join("model.safetensors");
    if weights.exists() && !arguments.resume {
        return Err(TrainError::Exists { path: weights }.into());
    }
    let init = arguments.init.as_deref().unwrap_or(DEFAULT_WEIGHTS);
    let mut body = load(init)?.with_classes(None, 0)?;
    if let Some(side) = arguments.resolution {
        body.metadata = body.metadata.with_size([side as usize; 2]);
    }
    if let Some(rule) = arguments.preprocess {
        let preprocessing = &mut body.metadata.preprocessing;
        *preprocessing = rule.instead_of(preprocessing);
    }
    let copies = data
        .test
        .as_deref()
        .map(|test| copies::warn(&*data.train, test));
    let threads = threads::or_all_cores(arguments.threads);
    let source = Source {
        arguments,
        network: features::of_checkpoint(body.clone(), threads)?,
        body: &body,
    };
    let train = source.features("train", &*data.train)?;
    let class_names = data.train.class_names();
    let options = HeadOptions {
        l2: arguments.l2,
        ..HeadOptions::default()
    };
    let classes = class_names.len();
    let head = Head::fit(&train.values, train.width, &train.labels, classes, &options)?;
    if !head.converged {
        eprintln!(
            "warning: the training has not converged after {} iterations; a larger --l2 may help",
            head.iterations
        );
    }
    let calibration =
        Calibration::of(&train.values, train.width, &train.labels, classes, &options)?;
    let head = match calibration {
        Some(calibration) => head.at_temperature(calibration.temperature),
        None => head,
    };
    let mut trained = head.put_into(body.clone(), class_names)?;
    trained.metadata.least_probability = calibration.map(|known| known.least_probability);
    let origin = &mut trained.metadata.source;
    *origin = format!("{origin}, classifier {trained_on}");
    save(&weights, &trained, WeightsDtype::F32)?;
    if let Some(test) = data.test.as_deref() {
        let features = source.features("test", test)?;
        let copies = copies.flatten();
        evaluate(
            arguments,
            &trained,
            &head,
            test,
            &features,
            copies.as_deref(),
        )?;
    }
    if arguments.json {
        return Ok(());
    }
    output::line(format!("weights: {}", weights.display()))
}

/// Where features come from.
struct Source<'a> {
    arguments: &'a Train,
    network: Classifier,
    body: &'a Checkpoint,
}

impl Source<'_> {
    /// Features of one part of the data, from the file of an earlier run if they are the same.
    fn features(&self, part: &str, data: &dyn ImageDataset) -> Result<DatasetFeatures> {
        let folder = self.arguments.out.join("features");
        let file = folder.join(part).with_extension("npy");
        let key = dataset_key(self.body, data);
        if let Some(kept) = DatasetFeatures::kept(&file, &key, data) {
            eprintln!("features of {} photos from {}", data.len(), file.display());
            return Ok(kept);
        }
        let bar = counting(data.len() as u64);
        let features = DatasetFeatures::of(&self.network, data, || bar.inc(1))?;
        bar.finish_and_clear();
        for photo in &features.skipped {
            eprintln!("skipped {}: {}", photo.name, photo.reason);
        }
        let (skipped, allowed) = (features.skipped.len(), self.arguments.max_skipped);
        if skipped as f64 > allowed * data.len() as f64 {
            bail!(
                "{skipped} of {} photos cannot be used, more than the allowed share of {allowed}",
                data.len()
            );
        }
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        if let Err(error) = features.keep(&file, &key, data) {
            eprintln!("the features are not kept for the next time: {error}");
        }
        Ok(features)
    }
}

fn evaluate(
    arguments: &Train,
    trained: &Checkpoint,
    head: &Head,
    data: &dyn ImageDataset,
    features: &DatasetFeatures,
    copies: Option<&[usize]>,
) -> Result<()> {
    let classes = head.biases.len();
    let logits = head.logits(&features.values)?;
    let mut evaluation = Evaluation::new(classes, WORST);
    evaluation.add(&features.indices, &logits, &features.labels)?;
    let mut clean = Evaluation::new(classes, 0);
    let rows = logits
        .chunks(classes)
        .zip(&features.labels)
        .zip(&features.indices);
    for ((logits, &label), &index) in rows {
        if copies.is_some_and(|copies| !copies.contains(&index)) {
            clean.add(&[index], logits, &[label])?;
        }
    }
    let report = arguments.out.join("report");
    write_report(&report, arguments, trained, head, &evaluation, data)?;
    let accuracy = evaluation.accuracy();
    let clean = Some(clean.accuracy()).filter(|clean| clean.images() > 0);
    let line = Line {
        epoch: 1,
        accuracy: accuracy.accuracy(),
        recall_5: accuracy.recall_5(),
        images: accuracy.images(),
        copies: copies.map(<[usize]>::len),
        accuracy_without_copies: clean.map(|clean| clean.accuracy()),
    };
    if arguments.json {
        return output::json(&line);
    }
    output::line(format!(
        "accuracy {:.2} %, recall at 5 {:.2} % on {} photos",
        100.0 * line.accuracy,
        100.0 * line.recall_5,
        line.images
    ))?;
    if let Some(clean) = clean.filter(|clean| clean.images() < line.images) {
        output::line(format!(
            "accuracy {:.2} % on the {} photos that are no copies of training photos",
            100.0 * clean.accuracy(),
            clean.images()
        ))?;
    }
    output::line(format!("report: {}", report.join("report.html").display()))
}

fn write_report(
    folder: &Path,
    arguments: &Train,
    trained: &Checkpoint,
    head: &Head,
    evaluation: &Evaluation,
    data: &dyn ImageDataset,
) -> Result<()> {
    let recipe = [
        ("training", "logistic regression on features".to_string()),
        ("l2", arguments.l2.to_string()),
        ("iterations", head.iterations.to_string()),
        ("loss", format!("{:.4}", head.loss)),
    ];
    let recipe = recipe.map(|(name, value)| (name.to_string(), value));
    let report = Report {
        title: &trained.metadata.source,
        recipe: &recipe,
        history: &History::default(),
        evaluation,
        class_names: data.class_names(),
        worst: &worst_photos(evaluation, data, Explainer::new(trained, 1).ok()),
    };
    Ok(report.write(folder)?)
}
