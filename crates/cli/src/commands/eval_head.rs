//! `eval --task multi-label` and `--task embedding`: measures what is no classifier.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use mobilenet::kernels::inference::WeightType;
use mobilenet::model::checkpoint::Metadata;
use mobilenet::model::labels::Labels;
use mobilenet::model::{Head, NetworkWeights, PlanWeights};
use mobilenet::train::data::pairs::PhotoPairs;
use mobilenet::train::data::{self, ImageDataset, Part, attributes, list_parts, pairs, vectors};
use mobilenet::train::evaluation::EvaluationOptions;
use mobilenet::train::heads::{FALSE_ACCEPTS, HeadMetrics, HeadOutcome, evaluate, evaluate_pairs};
use mobilenet::train::log::History;
use mobilenet::train::metrics::{AttributeMetrics, Verification, worst_first};
use mobilenet::train::parallel::{Communicator, Terms, same_on_all};
use mobilenet::train::report::{self, HeadReport};
use serde::Serialize;

use super::{eval, load, task};
use crate::args::{Eval, Precision, Task};
use crate::progress::counting;
use crate::version::version;
use crate::{output, ranks, threads};

#[derive(Serialize)]
struct Line<'a> {
    images: usize,
    images_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_average_precision: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a [AttributeMetrics]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    area_under_roc: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pairs: Option<[usize; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    true_accepts: Option<Vec<Accepts>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_cosine: Option<f64>,
}

#[derive(Serialize)]
struct Accepts {
    false_accept_rate: f64,
    /// `None` where there are too few pairs to tell.
    true_accept_rate: Option<f64>,
}

pub(crate) fn run(arguments: &Eval) -> Result<()> {
    ranks::start(&arguments.ranks, |communicator| {
        eval_head(arguments, communicator)
    })
}

fn eval_head(arguments: &Eval, communicator: &mut dyn Communicator) -> Result<()> {
    refuse_others(arguments)?;
    let checkpoint = load(&arguments.weights)?;
    let mut terms = vec![("version".to_string(), version().to_string())];
    if communicator.ranks() > 1 {
        terms.push(("weights".to_string(), eval::checksum(&checkpoint)));
    }
    let config = checkpoint.metadata.config();
    let weights = PlanWeights::consuming(WeightType::F32, &config, checkpoint.parameters)?;
    let network = NetworkWeights::F32(weights);
    let metadata = arguments.preprocess.apply(checkpoint.metadata);
    let outcome = outcome(arguments, &network, &metadata, terms, communicator);
    let outcome = outcome.with_context(|| {
        let (weights, data) = (&arguments.weights, &arguments.data);
        format!("cannot evaluate {weights} on {data}")
    })?;
    let Some(outcome) = outcome else {
        return Ok(());
    };
    for photo in &outcome.skipped {
        eprintln!("skipped {}: {}", photo.name, photo.reason);
    }
    if let Some(folder) = &arguments.report {
        let last = |text: &str| {
            let name = Path::new(text).file_name();
            name.map_or(text.into(), |name| name.to_string_lossy().into_owned())
        };
        HeadReport {
            title: &format!("{} on {}", last(&arguments.weights), last(&arguments.data)),
            recipe: None,
            history: &History::default(),
            outcome: &outcome,
        }
        .write(folder)?;
    }
    if arguments.json {
        return output::json(&line(&outcome));
    }
    print(&outcome)?;
    match &arguments.report {
        Some(folder) => output::line(format!("report: {}", folder.join(report::FILE).display())),
        None => Ok(()),
    }
}

/// The outcome, on rank 0. Ranks must have the same terms and photos.
fn outcome(
    arguments: &Eval,
    network: &NetworkWeights,
    metadata: &Metadata,
    mut terms: Terms,
    communicator: &mut dyn Communicator,
) -> Result<Option<HeadOutcome>> {
    let options = EvaluationOptions {
        batch_size: arguments.batch_size as usize,
        part: Part {
            rank: communicator.rank(),
            world: communicator.ranks(),
        },
        threads: threads::or_all_cores(arguments.threads),
        max_skipped_share: arguments.max_skipped,
        worst: 0,
        subset: None,
        keep_answers: false,
    };
    let (data, pairs) = open(arguments, metadata)?;
    terms.push(("photos".to_string(), data::identity(&*data)));
    same_on_all(communicator, &terms)?;
    let is_first = communicator.rank() == 0;
    let bar = counting(if is_first { data.len() as u64 } else { 0 });
    let mut progress = |photos: usize| bar.inc(photos as u64);
    let outcome = match &pairs {
        Some(pairs) => evaluate_pairs(
            network,
            metadata,
            pairs,
            &options,
            communicator,
            &mut progress,
        ),
        None => evaluate(
            network,
            metadata,
            data,
            &options,
            communicator,
            &mut progress,
        ),
    }?;
    bar.finish_and_clear();
    Ok(outcome)
}

/// The photos, and which of them show the same if a list says so.
fn open(
    arguments: &Eval,
    metadata: &Metadata,
) -> Result<(Arc<dyn ImageDataset>, Option<PhotoPairs>)> {
    let is_list = arguments.data.ends_with(".csv");
    let (train, test) = list_parts(&arguments.data);
    let list = test.unwrap_or(train);
    let data: Arc<dyn ImageDataset> = if arguments.task == Task::MultiLabel {
        match (&metadata.labels, metadata.head) {
            (Labels::Names(names), Head::Attributes) => {
                Arc::new(attributes::open(&list, Some(names))?)
            }
            _ => bail!("the last layer of the weights tells no attributes"),
        }
    } else if is_list && let Some(pairs) = pairs::open(&list)? {
        return Ok((pairs.photos.clone(), Some(pairs)));
    } else if is_list && vectors::has_vectors(&list)? {
        Arc::new(vectors::open(&list)?)
    } else if is_list {
        Arc::new(data::csv::open(&list, None)?)
    } else {
        eval::open(arguments)?
    };
    Ok((data, None))
}

/// Options that these evaluations do not have.
fn refuse_others(arguments: &Eval) -> Result<()> {
    let wrong = [
        ("--labels", arguments.labels.is_some()),
        ("--label-offset", arguments.label_offset.is_some()),
        ("--predictions", arguments.predictions.is_some()),
        (
            "--precision int8",
            matches!(arguments.precision, Precision::Int8),
        ),
    ];
    task::refuse(&wrong)
}

fn line(outcome: &HeadOutcome) -> Line<'_> {
    let mut line = Line {
        images: outcome.photos,
        images_per_second: outcome.photos as f64 / outcome.elapsed.as_secs_f64(),
        mean_average_precision: None,
        attributes: None,
        area_under_roc: None,
        pairs: None,
        true_accepts: None,
        mean_cosine: None,
    };
    match &outcome.metrics {
        HeadMetrics::Attributes(attributes) => {
            line.mean_average_precision = outcome.measured().1;
            line.attributes = Some(attributes);
        }
        HeadMetrics::Verification(pairs) => {
            line.area_under_roc = Some(pairs.area());
            line.pairs = Some(pairs.pairs());
            line.true_accepts = Some(FALSE_ACCEPTS.map(|rate| accepts(pairs, rate)).into());
        }
        HeadMetrics::Cosine(mean) => line.mean_cosine = Some(*mean),
    }
    line
}

fn accepts(pairs: &Verification, rate: f64) -> Accepts {
    Accepts {
        false_accept_rate: rate,
        true_accept_rate: pairs.true_accepts(rate),
    }
}

/// The numbers for people.
pub(super) fn print(outcome: &HeadOutcome) -> Result<()> {
    let (measure, value) = outcome.measured();
    let value = value.map_or("none".to_string(), |value| format!("{value:.4}"));
    let photos = outcome.photos;
    output::line(format!("{} {value} on {photos} photos", measure.name()))?;
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    match &outcome.metrics {
        HeadMetrics::Attributes(attributes) => {
            for one in worst_first(attributes) {
                let precision = one.average_precision.map_or("none".to_string(), percent);
                let counts = format!("{} of {} photos", one.positives, one.photos);
                output::line(format!("{precision:>9}  {} ({counts})", one.name))?;
            }
        }
        HeadMetrics::Verification(pairs) => {
            let [same, different] = pairs.pairs();
            output::line(format!(
                "{same} pairs that show the same, {different} others"
            ))?;
            for rate in FALSE_ACCEPTS {
                let accepts = pairs.true_accepts(rate);
                let accepts = accepts.map_or("too few pairs to tell".to_string(), percent);
                output::line(format!(
                    "true accepts at {} false accepts: {accepts}",
                    percent(rate)
                ))?;
            }
        }
        HeadMetrics::Cosine(_) => (),
    }
    Ok(())
}
