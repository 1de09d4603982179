//! `eval`: measures the accuracy of weights on a data set.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use mobilenet::Explainer;
use mobilenet::kernels::inference::WeightType;
use mobilenet::model::checkpoint::{Checkpoint, Metadata};
use mobilenet::model::file::write_atomically;
use mobilenet::model::labels::MatchedBy;
use mobilenet::model::quantized::Arithmetic;
use mobilenet::model::{NetworkWeights, PlanWeights, QuantizedWeights};
use mobilenet::train::InClassesOf;
use mobilenet::train::data::{self, ImageDataset, Part, image_folder, photo_list};
use mobilenet::train::evaluation::{
    Answer, EvaluationOptions, EvaluationOutcome, evaluate_network,
};
use mobilenet::train::log::History;
use mobilenet::train::parallel::{Communicator, same_on_all};
use mobilenet::train::report::{self, Report, worst_photos};
use serde::Serialize;

use super::{load, load_quantized};
use crate::args::{Eval, Precision};
use crate::progress::counting;
use crate::version::version;
use crate::{csv, output, ranks, threads};

/// Photos of the report.
const WORST: usize = 12;

#[derive(Serialize)]
struct Line {
    images: u64,
    accuracy: f64,
    recall_5: f64,
    images_per_second: f64,
    /// Classes of the data, if it lacks some of the weights'.
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restricted_accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restricted_recall_5: Option<f64>,
}

pub(crate) fn run(arguments: &Eval) -> Result<()> {
    ranks::start(&arguments.ranks, |communicator| {
        eval(arguments, communicator)
    })
}

fn eval(arguments: &Eval, communicator: &mut dyn Communicator) -> Result<()> {
    let is_first = communicator.rank() == 0;
    let (metadata, weights) = network(arguments)?;
    let Some(classes) = metadata.classes else {
        bail!("{} has no classifier", arguments.weights);
    };
    if !metadata.head.is_classes() {
        bail!(
            "the last layer of {} tells no classes; see --task",
            arguments.weights
        );
    }
    let offset = arguments.label_offset.map(|offset| offset as usize);
    let data = InClassesOf::new(open(arguments)?, &metadata.labels, classes, offset).with_context(
        || {
            format!(
                "cannot evaluate {} on {}",
                arguments.weights, arguments.data
            )
        },
    )?;
    if is_first {
        explain(arguments, &data, classes)?;
    }
    let data = Arc::new(data);
    let options = EvaluationOptions {
        batch_size: arguments.batch_size as usize,
        part: Part {
            rank: communicator.rank(),
            world: communicator.ranks(),
        },
        threads: threads::or_all_cores(arguments.threads),
        max_skipped_share: arguments.max_skipped,
        worst: if arguments.report.is_some() { WORST } else { 0 },
        subset: data.subset().map(<[usize]>::to_vec),
        keep_answers: arguments.predictions.is_some(),
    };
    let mut terms = vec![
        ("version".to_string(), version().to_string()),
        ("photos".to_string(), data::identity(&*data)),
    ];
    if communicator.ranks() > 1 {
        terms.push(("weights".to_string(), checksum(&load(&arguments.weights)?)));
    }
    same_on_all(communicator, &terms)?;
    let bar = counting(if is_first { data.len() as u64 } else { 0 });
    let outcome = evaluate_network(
        &weights,
        classes,
        &metadata.preprocessing,
        data.clone(),
        &options,
        &mut |photos| bar.inc(photos as u64),
    )?;
    bar.finish_and_clear();
    let Some(outcome) = outcome.of_all(communicator)? else {
        return Ok(());
    };
    for photo in &outcome.skipped {
        eprintln!("skipped {}: {}", photo.name, photo.reason);
    }
    if let Some(path) = &arguments.predictions {
        write_atomically(path, predictions(&outcome.answers, &*data).as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(folder) = &arguments.report {
        report(arguments, folder, &outcome, &*data)?;
    }
    print(arguments, &outcome, &data)
}

/// The network to be evaluated.
fn network(arguments: &Eval) -> Result<(Metadata, NetworkWeights)> {
    let overrule = |metadata| arguments.preprocess.apply(metadata);
    Ok(match arguments.precision {
        Precision::F32 => {
            let checkpoint = load(&arguments.weights)?;
            let config = checkpoint.metadata.config();
            let weights = PlanWeights::consuming(WeightType::F32, &config, checkpoint.parameters)?;
            (overrule(checkpoint.metadata), NetworkWeights::F32(weights))
        }
        Precision::Int8 => {
            let quantized = load_quantized(&arguments.weights)?;
            let weights = QuantizedWeights::new(quantized.network, Arithmetic::Xnnpack)?;
            (overrule(quantized.metadata), NetworkWeights::Int8(weights))
        }
    })
}

/// A checksum of all values of weights.
pub(super) fn checksum(checkpoint: &Checkpoint) -> String {
    let mut parameters: Vec<_> = checkpoint.parameters.iter().collect();
    parameters.sort_by_key(|(name, _)| *name);
    let mut sum = 0;
    for (name, array) in parameters {
        sum = crc32c::crc32c_append(sum, name.as_bytes());
        for value in array.values() {
            sum = crc32c::crc32c_append(sum, &value.to_le_bytes());
        }
    }
    format!("checksum {sum:08x}")
}

/// Says how classes were matched where it is not by name, and what is missing.
fn explain(arguments: &Eval, data: &InClassesOf, classes: usize) -> Result<()> {
    let by = data.matched().by;
    if arguments.label_offset.is_some() && !matches!(by, MatchedBy::Number { .. }) {
        bail!("--label-offset is for classes that are numbers; these have names");
    }
    match by {
        MatchedBy::Position => eprintln!(
            "warning: the weights have no labels: the data's classes are taken in the order of \
             their names"
        ),
        MatchedBy::Number {
            offset: 0,
            assumed: true,
        } => eprintln!(
            "the data's classes are read as the weights' own numbers, where 0 is the background; \
             --label-offset 1 is for numbers that begin with ImageNet's first class"
        ),
        MatchedBy::Number { offset: 1, .. } if arguments.label_offset.is_none() => eprintln!(
            "the data's classes are numbered without the weights' background class; \
             --label-offset 0 is for the weights' own numbers"
        ),
        _ => {}
    }
    if let Some(subset) = data.subset() {
        eprintln!(
            "the data has {} of the weights' {classes} classes: the accuracy is given for answers \
             among all classes, and for answers among these",
            subset.len()
        );
    }
    Ok(())
}

fn print(arguments: &Eval, outcome: &EvaluationOutcome, data: &InClassesOf) -> Result<()> {
    let accuracy = outcome.evaluation.accuracy();
    let restricted = outcome.restricted;
    let line = Line {
        images: accuracy.images(),
        accuracy: accuracy.accuracy(),
        recall_5: accuracy.recall_5(),
        images_per_second: accuracy.images() as f64 / outcome.elapsed.as_secs_f64(),
        classes: data.subset().map(<[usize]>::len),
        restricted_accuracy: restricted.map(|restricted| restricted.accuracy()),
        restricted_recall_5: restricted.map(|restricted| restricted.recall_5()),
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
    ))?;
    if let (Some(restricted), Some(classes)) = (restricted, line.classes) {
        output::line(format!(
            "with answers among the data's {classes} classes only: accuracy {:.2} %, recall at 5 \
             {:.2} %",
            100.0 * restricted.accuracy(),
            100.0 * restricted.recall_5()
        ))?;
    }
    if let Some(folder) = &arguments.report {
        output::line(format!("report: {}", folder.join(report::FILE).display()))?;
    }
    Ok(())
}

/// The answers as CSV.
fn predictions(answers: &[Answer], data: &dyn ImageDataset) -> String {
    let names = data.class_names();
    let name = |class: usize| csv::field(names.get(class).map_or("", String::as_str));
    let mut text = "photo,class,label,predicted_class,predicted_label,probability\n".to_string();
    for answer in answers {
        text.push_str(&format!(
            "{},{},{},{},{},{:.6}\n",
            csv::field(&data.name(answer.image)),
            answer.label,
            name(answer.label),
            answer.predicted,
            name(answer.predicted),
            answer.probability
        ));
    }
    text
}

fn report(
    arguments: &Eval,
    folder: &Path,
    outcome: &EvaluationOutcome,
    data: &dyn ImageDataset,
) -> Result<()> {
    let mut weights = load(&arguments.weights)?;
    weights.metadata = arguments.preprocess.apply(weights.metadata);
    let network = Explainer::new(&weights, 1).ok();
    let last_name = |text: &str| {
        let name = Path::new(text).file_name();
        name.map_or(text.into(), |name| name.to_string_lossy().into_owned())
    };
    let (of_weights, of_data) = (last_name(&arguments.weights), last_name(&arguments.data));
    let report = Report {
        title: &format!("{of_weights} on {of_data}"),
        recipe: &[],
        history: &History::default(),
        evaluation: &outcome.evaluation,
        class_names: data.class_names(),
        worst: &worst_photos(&outcome.evaluation, data, network),
    };
    Ok(report.write(folder)?)
}

/// Opens the part of the data to evaluate on.
pub(super) fn open(arguments: &Eval) -> Result<Arc<dyn ImageDataset>> {
    let folder = Path::new(&arguments.data);
    if let Some(labels) = &arguments.labels {
        return Ok(Arc::new(photo_list::open(folder, labels, None)?));
    }
    // A test part beside `train`, or alone.
    for part in image_folder::TEST_FOLDERS {
        if let Ok(data) = image_folder::open_whole(&folder.join(part)) {
            return Ok(Arc::new(data));
        }
    }
    // Class folders without parts: evaluate on all of them.
    if !folder.join("train").is_dir()
        && let Ok(data) = image_folder::open_whole(folder)
    {
        return Ok(Arc::new(data));
    }
    let data = data::open(&arguments.data)?;
    Ok(data.test.unwrap_or(data.train))
}
