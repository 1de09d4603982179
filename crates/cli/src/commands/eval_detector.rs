//! `eval --task detection`: measures a detector on photos with boxes.

use std::path::Path;

use anyhow::{Context, Result};
use mobilenet::detect::average_precision::CocoMetrics;
use mobilenet::detect::{Computation, DetectorWeights};
use mobilenet::model::checkpoint::{ReadLimits, read_file};
use mobilenet::train::data::annotations::open_test;
use mobilenet::train::detection::evaluation::{DetectionOptions, DetectionOutcome, evaluate};
use mobilenet::train::detection::report::DetectionReport;
use mobilenet::train::log::History;
use mobilenet::train::parallel::{Communicator, same_on_all};
use mobilenet::train::report;
use serde::Serialize;

use super::{detector_file, task};
use crate::args::{Eval, Precision};
use crate::progress::counting;
use crate::version::version;
use crate::{output, ranks, threads};

/// Photos of the report.
const WORST: usize = 12;

#[derive(Serialize)]
struct Line {
    images: usize,
    objects: usize,
    #[serde(flatten)]
    coco: CocoMetrics,
    voc_ap: Option<f64>,
    voc_ap_11: Option<f64>,
    images_per_second: f64,
}

pub(crate) fn run(arguments: &Eval) -> Result<()> {
    ranks::start(&arguments.ranks, |communicator| {
        eval_detector(arguments, communicator)
    })
}

fn eval_detector(arguments: &Eval, communicator: &mut dyn Communicator) -> Result<()> {
    refuse_others(arguments)?;
    let computation = match arguments.precision {
        Precision::F32 => Computation::Floats,
        Precision::Int8 => Computation::default(),
    };
    let file = detector_file(&arguments.weights)?;
    let weights = DetectorWeights::open(&file, computation)?;
    let data = open_test(Path::new(&arguments.data))?;
    let mut terms = vec![
        ("version".to_string(), version().to_string()),
        ("photos".to_string(), data.identity()),
    ];
    if communicator.ranks() > 1 && file.is_file() {
        let sum = crc32c::crc32c(&read_file(&file, ReadLimits::default())?);
        terms.push(("weights".to_string(), format!("checksum {sum:08x}")));
    }
    same_on_all(communicator, &terms)?;
    let options = DetectionOptions {
        threads: threads::or_all_cores(arguments.threads),
        max_skipped_share: arguments.max_skipped,
        worst: if arguments.report.is_some() { WORST } else { 0 },
    };
    let is_first = communicator.rank() == 0;
    let bar = counting(if is_first { data.len() as u64 } else { 0 });
    let mut progress = || bar.inc(1);
    let outcome = evaluate(&weights, &data, &options, communicator, &mut progress);
    let outcome = outcome.with_context(|| {
        format!(
            "cannot evaluate {} on {}",
            arguments.weights, arguments.data
        )
    })?;
    bar.finish_and_clear();
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
        DetectionReport {
            title: &format!("{} on {}", last(&arguments.weights), last(&arguments.data)),
            recipe: None,
            history: &History::default(),
            outcome: &outcome,
            data: &data,
        }
        .write(folder)?;
    }
    if !arguments.json {
        print(&outcome)?;
        if let Some(folder) = &arguments.report {
            output::line(format!("report: {}", folder.join(report::FILE).display()))?;
        }
        return Ok(());
    }
    output::json(&Line {
        images: outcome.photos,
        objects: outcome.objects,
        coco: outcome.coco,
        voc_ap: outcome.voc.ap,
        voc_ap_11: outcome.voc.ap_11,
        images_per_second: outcome.photos as f64 / outcome.elapsed.as_secs_f64(),
    })
}

/// Options that the evaluation of a detector does not have.
fn refuse_others(arguments: &Eval) -> Result<()> {
    let wrong = [
        ("--labels", arguments.labels.is_some()),
        ("--label-offset", arguments.label_offset.is_some()),
        ("--predictions", arguments.predictions.is_some()),
    ];
    task::refuse(&wrong)
}

/// All numbers, as COCO's tools order them, and VOC's.
pub(crate) fn print(outcome: &DetectionOutcome) -> Result<()> {
    let coco = &outcome.coco;
    let lines = [
        ("AP    0.50 to 0.95", coco.ap),
        ("AP    at 0.50", coco.ap_50),
        ("AP    at 0.75", coco.ap_75),
        ("AP    small objects", coco.ap_small),
        ("AP    medium objects", coco.ap_medium),
        ("AP    large objects", coco.ap_large),
        ("AR    1 detection a photo", coco.ar_1),
        ("AR    10 detections", coco.ar_10),
        ("AR    100 detections", coco.ar_100),
        ("AR    small objects", coco.ar_small),
        ("AR    medium objects", coco.ar_medium),
        ("AR    large objects", coco.ar_large),
        ("VOC's AP", outcome.voc.ap),
        ("VOC's AP, 11 points", outcome.voc.ap_11),
    ];
    let (photos, objects) = (outcome.photos, outcome.objects);
    let mut text = format!("{photos} photos with {objects} objects\n");
    for (name, value) in lines {
        let value = value.map_or("  none".to_string(), |value| {
            format!("{:6.2} %", 100.0 * value)
        });
        text += &format!("{name:26}{value}\n");
    }
    output::text(&text)
}
