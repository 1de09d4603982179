//! `eval --task places`: how far the best cells' centres are from where photos were taken.

use std::fmt::Write;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use mobilenet::kernels::inference::WeightType;
use mobilenet::model::file::write_atomically;
use mobilenet::model::labels::Labels;
use mobilenet::model::{NetworkWeights, PlanWeights};
use mobilenet::train::data::{self, ImageDataset, Part, list_parts};
use mobilenet::train::evaluation::{EvaluationOptions, evaluate_network};
use mobilenet::train::parallel::{Communicator, same_on_all};
use mobilenet::train::places::{self, DistanceMetrics, Partition, WITHIN_KM, kilometres};
use serde::Serialize;

use super::{eval, load, task};
use crate::args::{Eval, Precision};
use crate::progress::counting;
use crate::version::version;
use crate::{csv, output, ranks, threads};

#[derive(Serialize)]
struct Line {
    images: usize,
    within: Vec<Within>,
    median_km: Option<f64>,
    images_per_second: f64,
}

#[derive(Serialize)]
struct Within {
    kilometres: f64,
    share: f64,
}

pub(crate) fn run(arguments: &Eval) -> Result<()> {
    ranks::start(&arguments.ranks, |communicator| {
        eval_places(arguments, communicator)
    })
}

fn eval_places(arguments: &Eval, communicator: &mut dyn Communicator) -> Result<()> {
    refuse_others(arguments)?;
    let checkpoint = load(&arguments.weights)?;
    let mut terms = vec![("version".to_string(), version().to_string())];
    if communicator.ranks() > 1 {
        terms.push(("weights".to_string(), eval::checksum(&checkpoint)));
    }
    let Labels::Names(names) = &checkpoint.metadata.labels else {
        bail!("{} has no names of cells", arguments.weights);
    };
    let partition = Partition::of_names(names)
        .with_context(|| format!("{} tells no places", arguments.weights))?;
    let config = checkpoint.metadata.config();
    let weights = PlanWeights::consuming(WeightType::F32, &config, checkpoint.parameters)?;
    let metadata = arguments.preprocess.apply(checkpoint.metadata);
    let (train, test) = list_parts(&arguments.data);
    let photos = places::open(&test.unwrap_or(train))?;
    let data = Arc::new(photos.unlabelled(&partition)?);
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
        keep_answers: true,
    };
    terms.push(("photos".to_string(), data::identity(&*data)));
    same_on_all(communicator, &terms)?;
    let is_first = communicator.rank() == 0;
    let bar = counting(if is_first { data.len() as u64 } else { 0 });
    let outcome = evaluate_network(
        &NetworkWeights::F32(weights),
        partition.cells().len(),
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
    let mut distances = Vec::new();
    let mut table = "photo,latitude,longitude,cell,kilometres,probability\n".to_string();
    for answer in &outcome.answers {
        let cell = partition.cells().get(answer.predicted);
        let (Some(cell), Some(&place)) = (cell, photos.places().get(answer.image)) else {
            bail!("an answer is none of the cells");
        };
        let centre = cell.centre();
        let distance = kilometres(centre, place);
        distances.push(distance);
        writeln!(
            table,
            "{},{:.5},{:.5},{},{distance:.3},{:.6}",
            csv::field(&data.name(answer.image)),
            centre.latitude,
            centre.longitude,
            cell.token(),
            answer.probability
        )?;
    }
    if let Some(path) = &arguments.predictions {
        write_atomically(path, table.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let rate = distances.len() as f64 / outcome.elapsed.as_secs_f64();
    print(arguments, &DistanceMetrics::new(distances), rate)
}

fn print(arguments: &Eval, metrics: &DistanceMetrics, images_per_second: f64) -> Result<()> {
    let within = WITHIN_KM.into_iter().zip(metrics.within);
    if arguments.json {
        return output::json(&Line {
            images: metrics.photos,
            within: within
                .map(|(kilometres, share)| Within { kilometres, share })
                .collect(),
            median_km: metrics.median_km,
            images_per_second,
        });
    }
    for (kilometres, share) in within {
        output::line(format!("within {kilometres:>4} km: {:.2} %", 100.0 * share))?;
    }
    let median = metrics.median_km.unwrap_or(f64::NAN);
    output::line(format!(
        "half of {} photos within {median:.1} km",
        metrics.photos
    ))
}

/// Options that this evaluation does not have.
fn refuse_others(arguments: &Eval) -> Result<()> {
    let wrong = [
        ("--labels", arguments.labels.is_some()),
        ("--label-offset", arguments.label_offset.is_some()),
        ("--report", arguments.report.is_some()),
        (
            "--precision int8",
            matches!(arguments.precision, Precision::Int8),
        ),
    ];
    task::refuse(&wrong)
}
