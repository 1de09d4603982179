//! `train --task detection`: trains a detector on photos with boxes.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use mobilenet::detect::DetectorDescription;
use mobilenet::model::checkpoint::{Checkpoint, LoadReport, Metadata};
use mobilenet::model::initialize::initial_parameters;
use mobilenet::model::preprocess::Preprocessing;
use mobilenet::train::augment::MeanStd;
use mobilenet::train::data::annotations::{self, AnnotatedPhotos};
use mobilenet::train::detection::augment::DetectionAugmentation;
use mobilenet::train::detection::loss::{ClassLoss, DetectorLoss};
use mobilenet::train::detection::run::{DetectorJob, run as train};
use mobilenet::train::detection::settings::DetectionSettings;
use mobilenet::train::parallel::Communicator;
use mobilenet::train::recipe::Recipe;
use mobilenet::train::report;

use super::task;
use super::train_settings::{
    init, run_options, shared_settings, source, stop_by_signals, threads, with_last_checkpoint,
};
use crate::args::{AugmentationName, ClassLossName, Train};
use crate::output;
use crate::progress::Training;
use crate::ranks::{self, Stopped};

/// Rows and columns of an image, as most SSDs have.
const SIDE: usize = 300;

/// Photos of a step.
const BATCH: usize = 16;

/// Focal loss has its boxes' loss divided by their four numbers in TensorFlow's configurations.
const BOX_WEIGHT_OF_FOCAL: f64 = 0.25;

pub(crate) fn run(arguments: &Train) -> Result<()> {
    ranks::start(&arguments.ranks, |communicator| {
        train_detector(arguments, communicator)
    })
}

fn train_detector(arguments: &Train, communicator: &mut dyn Communicator) -> Result<()> {
    refuse_others(arguments)?;
    let parts = annotations::open(Path::new(&arguments.data))?;
    let recipe = recipe(arguments, &parts.train)?;
    let backbone = backbone(arguments, &recipe, communicator)?;
    let description = describe(arguments, &backbone, &parts.train, &recipe)?;
    let options = run_options(arguments, threads(arguments, &recipe, communicator));
    let stop = stop_by_signals()?;
    let mut observer = Training::new(arguments.json);
    let job = DetectorJob {
        recipe,
        backbone,
        description,
        train: Arc::new(parts.train),
        test: Arc::new(parts.test),
        options: &options,
    };
    let outcome = train(job, communicator, &stop, &mut observer)
        .map_err(|error| with_last_checkpoint(error, &options))?;
    observer.end();
    if communicator.rank() > 0 {
        return Ok(());
    }
    if outcome.interrupted {
        bail!(Stopped { step: outcome.step });
    }
    if !outcome.skipped.is_empty() {
        eprintln!("{} photos could not be used", outcome.skipped.len());
    }
    if arguments.json {
        return Ok(());
    }
    let out = arguments.out.display();
    if let Some(evaluation) = outcome.evaluation {
        super::eval_detector::print(&evaluation)?;
        output::line(format!("report: {out}/report/{}", report::FILE))?;
    }
    output::line(format!("detector: {out}/model.safetensors"))
}

/// Options that a detector's training does not have.
fn refuse_others(arguments: &Train) -> Result<()> {
    let wrong = [
        ("--head", arguments.head),
        ("--network", arguments.network.is_some()),
        ("--quantize", arguments.quantize),
        ("--compress", arguments.compress.is_some()),
        ("--teacher", arguments.teacher.is_some()),
        ("--replicas", arguments.replicas.is_some()),
        ("--label-smoothing", arguments.label_smoothing.is_some()),
        ("--dropout-keep", arguments.dropout_keep.is_some()),
        ("--slice-logits", arguments.slice_logits),
    ];
    task::refuse(&wrong)
}

fn recipe(arguments: &Train, data: &AnnotatedPhotos) -> Result<Recipe> {
    let batch_size = arguments.batch_size.map_or(BATCH, |size| size as usize);
    if data.len() < batch_size {
        bail!(
            "{} has {} photos to train on, fewer than a batch of {batch_size}",
            arguments.data,
            data.len()
        );
    }
    let resolution = arguments.resolution.map_or(SIDE, |side| side as usize);
    let steps_per_epoch = (data.len() / batch_size) as u64;
    let epochs = arguments.epochs.unwrap_or(20);
    let steps = arguments.steps.unwrap_or(epochs * steps_per_epoch);
    let mut recipe = Recipe::detection(steps, steps_per_epoch, batch_size, resolution);
    let usual = recipe.clipping;
    shared_settings(arguments, &mut recipe, steps_per_epoch)?;
    recipe.clipping = recipe.clipping.or(usual);
    let loss = match arguments.class_loss {
        ClassLossName::HardNegatives => DetectorLoss::default(),
        ClassLossName::Focal => DetectorLoss {
            classes: ClassLoss::FOCAL,
            learns_background: false,
            box_weight: BOX_WEIGHT_OF_FOCAL,
        },
    };
    recipe.detection = Some(DetectionSettings {
        loss,
        augmentation: match arguments.augment {
            Some(AugmentationName::None) => DetectionAugmentation::NONE,
            _ => DetectionAugmentation::default(),
        },
        ..DetectionSettings::default()
    });
    Ok(recipe)
}

/// The classifier whose body the detector begins with.
fn backbone(
    arguments: &Train,
    recipe: &Recipe,
    communicator: &mut dyn Communicator,
) -> Result<Checkpoint> {
    if let Some(init) = init(arguments, communicator)? {
        let network = init.metadata.network;
        if !network.is_mobilenet() {
            bail!("a detector begins with mobilenet; --init is {network}");
        }
        if arguments
            .width
            .is_some_and(|width| width != init.metadata.width)
        {
            bail!("--init has width {}", init.metadata.width);
        }
        return Ok(init);
    }
    if communicator.rank() == 0 {
        eprintln!("no --init: the body begins with random weights, which needs far more photos");
    }
    let metadata = Metadata {
        width: arguments.width.unwrap_or(1.0),
        classes: Some(1),
        source: source(arguments),
        ..Metadata::new(Preprocessing::slim(recipe.resolution))
    };
    Ok(Checkpoint {
        parameters: initial_parameters(&metadata.config(), recipe.seed)?,
        metadata,
        report: LoadReport::default(),
    })
}

fn describe(
    arguments: &Train,
    backbone: &Checkpoint,
    data: &AnnotatedPhotos,
    recipe: &Recipe,
) -> Result<DetectorDescription> {
    let metadata = &backbone.metadata;
    let Some(MeanStd { mean, std }) = MeanStd::of(&metadata.preprocessing) else {
        bail!(
            "photos have 3 channels, --init has {}",
            metadata.preprocessing.channels()
        );
    };
    Ok(DetectorDescription {
        width: metadata.width,
        min_depth: metadata.config().base.min_depth,
        size: [recipe.resolution; 2],
        classes: data.class_names().to_vec(),
        mean,
        std,
        source: match &arguments.init {
            Some(_) => format!("{}, detector {}", metadata.source, source(arguments)),
            None => source(arguments),
        },
    })
}
