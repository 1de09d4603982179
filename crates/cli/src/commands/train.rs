//! `train`: trains weights on a data set.

use anyhow::{Context, Result, bail};
use mobilenet::compress::codes::CompressOptions;
use mobilenet::kernels::inference::WeightType;
use mobilenet::model::checkpoint::{Checkpoint, LoadReport, Metadata};
use mobilenet::model::initialize::initial_parameters;
use mobilenet::model::preprocess::{Preprocessing, Resize};
use mobilenet::model::{Head, InferencePlan, PlanOptions, PlanOutput, PlanWeights};
use mobilenet::train::augment::{Augmentation, Border};
use mobilenet::train::data::ImageDataset;
use mobilenet::train::fine_tune;
use mobilenet::train::loss::Distillation;
use mobilenet::train::parallel::Communicator;
use mobilenet::train::quantization::{FROM_SCRATCH_DELAY, Quantization, Scheme};
use mobilenet::train::recipe::{Recipe, Target};
use mobilenet::train::report;
use mobilenet::train::run::{self, Job, Replicas};

use super::task::Subject;
use super::train_settings::{
    init, run_options, shared_settings, source, stop_by_signals, threads, with_last_checkpoint,
};
use super::{copies, eval_head, load, train_head};
use crate::args::{AugmentationName, ReplicasName, SchemeName, Train};
use crate::output;
use crate::progress::Training;
use crate::ranks::{self, Stopped};

pub(crate) fn run(arguments: &Train) -> Result<()> {
    ranks::start(&arguments.ranks, |communicator| {
        train(arguments, communicator)
    })
}

fn train(arguments: &Train, communicator: &mut dyn Communicator) -> Result<()> {
    let mut subject = Subject::open(arguments)?;
    let is_first = communicator.rank() == 0;
    if arguments.head {
        if communicator.ranks() > 1 {
            bail!("--head computes in one process");
        }
        return train_head::run(arguments, &subject.data, &source(arguments));
    }
    if let Some(test) = subject
        .data
        .test
        .as_deref()
        .filter(|_| is_first && !is_fashion_mnist(arguments))
    {
        copies::warn(&*subject.data.train, test);
    }
    let init = init(arguments, communicator)?;
    let resolution = match (arguments.resolution, &init) {
        (Some(side), _) => side as usize,
        (None, Some(init)) => init.metadata.preprocessing.size[0],
        (None, None) if is_fashion_mnist(arguments) => 96,
        (None, None) => mobilenet::model::DEFAULT_IMAGE_SIZE,
    };
    let replicas = replicas(arguments)?;
    let recipe = recipe(arguments, &subject, resolution)?;
    if is_first {
        advise(&recipe, &*subject.data.train);
    }
    let threads = threads(arguments, &recipe, communicator);
    let teacher = teacher(arguments, &recipe, threads)?;
    if let (Some(teacher), Some(Target::Direction)) = (&teacher, subject.target) {
        subject.learn_vectors_of(teacher, arguments)?;
    }
    let initial = match init {
        Some(init) => {
            let adapted = adapt(arguments, init, &subject, resolution, is_first)?;
            match recipe.compression {
                Some(_) => adapted.unfold()?,
                None => adapted,
            }
        }
        None => draw(arguments, &subject, &recipe)?,
    };
    subject.check_features(&initial.metadata, teacher.as_ref())?;
    let options = run_options(arguments, threads);
    let stop = stop_by_signals()?;
    let mut observer = Training::new(arguments.json);
    let job = Job {
        recipe,
        initial,
        data: &subject.data,
        replicas,
        options: &options,
    };
    let outcome = run::run(job, teacher, communicator, &stop, &mut observer)
        .map_err(|error| with_last_checkpoint(error, &options))?;
    observer.end();
    if !is_first {
        return Ok(());
    }
    if outcome.interrupted {
        bail!(Stopped { step: outcome.step });
    }
    let out = arguments.out.display();
    if !outcome.skipped.is_empty() {
        eprintln!("{} photos could not be used", outcome.skipped.len());
    }
    if arguments.json {
        return Ok(());
    }
    if let Some(outcome) = outcome.evaluation {
        let accuracy = outcome.evaluation.accuracy();
        output::line(format!(
            "accuracy {:.2} %, recall at 5 {:.2} % on {} photos",
            100.0 * accuracy.accuracy(),
            100.0 * accuracy.recall_5(),
            accuracy.images()
        ))?;
        output::line(format!("report: {out}/report/{}", report::FILE))?;
    }
    if let Some(measured) = &outcome.measured {
        eval_head::print(measured)?;
        output::line(format!("report: {out}/report/{}", report::FILE))?;
    }
    output::line(format!("weights: {out}/model.safetensors"))
}

fn is_fashion_mnist(arguments: &Train) -> bool {
    arguments.data == "fashion-mnist"
}

/// The preset for this data, with the user's changes.
fn recipe(arguments: &Train, subject: &Subject, resolution: usize) -> Result<Recipe> {
    let data = &*subject.data.train;
    let fashion = is_fashion_mnist(arguments);
    let usual = if fashion { 128 } else { 32 };
    let batch_size = arguments.batch_size.unwrap_or(usual) as usize;
    if data.len() < batch_size {
        bail!(
            "{} has {} photos to train on, fewer than a batch of {batch_size}",
            arguments.data,
            data.len()
        );
    }
    // With slim's SyncReplicas a step has several batches.
    let batches = arguments.replicas_to_aggregate.unwrap_or(1);
    let steps_per_epoch = ((data.len() / batch_size) as u64 / batches).max(1);
    let usual_epochs = if arguments.init.is_some() { 14 } else { 20 };
    let epochs = arguments.epochs.unwrap_or(usual_epochs);
    let steps = arguments.steps.unwrap_or(epochs * steps_per_epoch);
    let mut recipe = if arguments.init.is_some() {
        Recipe::fine_tuning(steps, steps_per_epoch, batch_size, resolution)
    } else if fashion {
        Recipe {
            steps,
            batch_size,
            resolution,
            ..Recipe::fashion_mnist(epochs)
        }
    } else {
        Recipe::photos(steps, steps_per_epoch, batch_size, resolution)
    };
    shared_settings(arguments, &mut recipe, steps_per_epoch)?;
    if let Some(augmentation) = arguments.augment {
        recipe.augmentation = augmentation_of(augmentation, resolution);
    }
    let smoothing = match (arguments.label_smoothing, recipe.target) {
        (Some(smoothing), _) => smoothing,
        (None, Target::Labels { label_smoothing }) => label_smoothing,
        (None, _) => 0.0,
    };
    recipe.target = match (subject.target, &arguments.teacher) {
        (Some(target), _) => target,
        (None, None) => Target::Labels {
            label_smoothing: smoothing,
        },
        (None, Some(_)) => Target::Teacher(Distillation {
            weight: arguments.teacher_weight,
            temperature: arguments.temperature,
            label_smoothing: smoothing,
        }),
    };
    recipe.quantization = quantization(arguments);
    recipe.compression = arguments.compress.map(|method| CompressOptions {
        method: method.into(),
        bits: arguments.bits,
    });
    recipe.frozen_batch_norm |= recipe.compression.is_some();
    Ok(recipe)
}

/// Servers and workers, if they are asked for.
fn replicas(arguments: &Train) -> Result<Option<Replicas>> {
    let aggregate = arguments.replicas_to_aggregate;
    match arguments.replicas {
        Some(ReplicasName::Async) => Ok(Some(Replicas {
            servers: arguments.ps.unwrap_or(1),
            aggregate: aggregate.map(|batches| batches as usize),
        })),
        _ if arguments.ps.is_some() || aggregate.is_some() => {
            bail!("--ps and --replicas-to-aggregate are for --replicas async")
        }
        _ => Ok(None),
    }
}

/// Says what of a recipe will surprise.
fn advise(recipe: &Recipe, data: &dyn ImageDataset) {
    let (batch, classes) = (recipe.shard_size(), data.class_names().len());
    if matches!(recipe.target, Target::Contrast { .. }) && batch < classes {
        eprintln!(
            "{batch} photos of {classes} classes are seen together: most have no other of their \
             class to learn from; a larger --batch-size helps"
        );
    }
    if let Some(quantization) = recipe.quantization.filter(|q| q.delay > recipe.steps) {
        eprintln!(
            "--quant-delay {} is beyond the last step, {}: nothing will be rounded",
            quantization.delay, recipe.steps
        );
    }
}

fn quantization(arguments: &Train) -> Option<Quantization> {
    let usual = match arguments.init {
        Some(_) => 0,
        None => FROM_SCRATCH_DELAY,
    };
    arguments.quantize.then(|| Quantization {
        scheme: match arguments.scheme {
            SchemeName::PerTensor => Scheme::PerTensor,
            SchemeName::PerChannel => Scheme::PerChannel,
        },
        delay: arguments.quant_delay.unwrap_or(usual),
        freeze_batch_norm_delay: arguments.freeze_bn_delay,
    })
}

fn augmentation_of(name: AugmentationName, resolution: usize) -> Augmentation {
    match name {
        AugmentationName::Inception => Augmentation::SLIM,
        AugmentationName::InceptionSlow => Augmentation::Inception {
            fast: false,
            fixed_order: false,
        },
        AugmentationName::Mild => Augmentation::Mild,
        AugmentationName::CropFlip => Augmentation::CropFlip {
            padding: resolution.div_ceil(24),
            border: Border::Zero,
        },
        AugmentationName::None => Augmentation::None,
    }
}

/// Adapts the weights of `--init` to the data's classes.
fn adapt(
    arguments: &Train,
    init: Checkpoint,
    subject: &Subject,
    resolution: usize,
    is_first: bool,
) -> Result<Checkpoint> {
    if arguments
        .network
        .is_some_and(|network| network != init.metadata.network)
    {
        bail!("--init is {}", init.metadata.network);
    }
    if arguments
        .width
        .is_some_and(|width| width != init.metadata.width)
    {
        bail!("--init has width {}", init.metadata.width);
    }
    let logits = subject.logits(arguments, &init.metadata)?;
    let (mut checkpoint, kept) =
        fine_tune::adapt(init, &subject.outputs, logits, arguments.seed)
            .context("use --exclude-logits or --slice-logits for other classes")?;
    if arguments.slice_logits && is_first {
        eprintln!(
            "{kept} of {} classes keep their logits",
            subject.outputs.len()
        );
    }
    let mut metadata = checkpoint.metadata.with_size([resolution; 2]);
    metadata.least_probability = None;
    (metadata.head, metadata.labels) = (subject.head, subject.labels());
    metadata.source = format!("{} on {}", metadata.source, source(arguments));
    checkpoint.metadata = metadata;
    Ok(checkpoint)
}

/// Random initial weights as in slim, and their metadata.
fn draw(arguments: &Train, subject: &Subject, recipe: &Recipe) -> Result<Checkpoint> {
    let fashion = is_fashion_mnist(arguments);
    let side = recipe.resolution;
    let preprocessing = match recipe.augmentation {
        Augmentation::Inception { .. } | Augmentation::Mild => Preprocessing::slim(side),
        // The whole photo, resized as in training.
        Augmentation::CropFlip { .. } | Augmentation::None => Preprocessing {
            resize: Resize::CentralCrop { fraction: 1.0 },
            ..Preprocessing::slim(side)
        },
    };
    let metadata = Metadata {
        network: arguments.network.unwrap_or_default(),
        width: arguments.width.unwrap_or(if fashion { 0.25 } else { 1.0 }),
        classes: subject.classes(),
        labels: subject.labels(),
        head: subject.head,
        source: source(arguments),
        ..Metadata::new(preprocessing)
    };
    Ok(Checkpoint {
        parameters: initial_parameters(&metadata.config(), recipe.seed)?,
        metadata,
        report: LoadReport::default(),
    })
}

fn teacher(arguments: &Train, recipe: &Recipe, threads: usize) -> Result<Option<InferencePlan>> {
    let Some(weights) = &arguments.teacher else {
        return Ok(None);
    };
    let checkpoint = load(weights)?;
    let config = checkpoint.metadata.config();
    let is_embedding = checkpoint.metadata.head == Head::Embedding && config.classes().is_some();
    let output = match recipe.target {
        // Without a last layer of its own, and for a classifier, the features are the embedding.
        Target::Direction if !is_embedding => PlanOutput::Features,
        _ => PlanOutput::Logits,
    };
    let weights = PlanWeights::consuming(WeightType::F32, &config, checkpoint.parameters)?;
    let options = PlanOptions {
        output,
        ..PlanOptions::new([recipe.resolution; 2], threads)
    };
    Ok(Some(InferencePlan::new(&weights, &options)?))
}
