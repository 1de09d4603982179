//! What trainings of classifiers and of detectors have in common: settings, signals, errors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use mobilenet::model::checkpoint::{Checkpoint, LoadReport, Metadata};
use mobilenet::model::initialize::initial_parameters;
use mobilenet::train::TrainError;
use mobilenet::train::moving_average::MovingAverageConfig;
use mobilenet::train::optimizer::{GradientClipping, OptimizerConfig};
use mobilenet::train::parallel::{Communicator, Wire, broadcast};
use mobilenet::train::recipe::{Recipe, Trainable};
use mobilenet::train::run::RunOptions;
use mobilenet::train::schedule::{Cosine, ExponentialDecay, Schedule};

use super::load;
use crate::args::{OptimizerName, ScheduleName, Train, WireName};
use crate::version::version;

/// The user's changes of a recipe.
pub(super) fn shared_settings(
    arguments: &Train,
    recipe: &mut Recipe,
    steps_per_epoch: u64,
) -> Result<()> {
    let (shards, batch_size) = (arguments.shards as usize, recipe.batch_size);
    if !batch_size.is_multiple_of(shards) {
        bail!("--shards {shards} is no divisor of --batch-size {batch_size}");
    }
    recipe.shards = shards;
    recipe.wire = match arguments.wire {
        WireName::F32 => Wire::F32,
        WireName::Bf16 => Wire::Bf16,
    };
    recipe.seed = arguments.seed;
    if let Some(optimizer) = arguments.optimizer {
        recipe.optimizer = match optimizer {
            OptimizerName::Rmsprop => OptimizerConfig::rms_prop_slim(),
            OptimizerName::Sgd => sgd(arguments.momentum),
            OptimizerName::Adamw => OptimizerConfig::adam_w(),
        };
    } else {
        recipe.optimizer = sgd(arguments.momentum);
    }
    recipe.schedule = schedule(arguments, recipe, steps_per_epoch);
    let set = |target: &mut f64, value: Option<f64>| *target = value.unwrap_or(*target);
    set(&mut recipe.weight_decay, arguments.weight_decay);
    set(&mut recipe.batch_norm_decay, arguments.batch_norm_decay);
    set(&mut recipe.dropout_keep_prob, arguments.dropout_keep);
    if let Some(decay) = arguments.ema {
        recipe.moving_average = (decay > 0.0).then_some(MovingAverageConfig { decay, ramp: true });
    }
    recipe.clipping = arguments
        .clip_norm
        .map(|limit| GradientClipping::GlobalNorm { limit });
    if !arguments.train_only.is_empty() {
        recipe.trainable = Trainable::Scopes(arguments.train_only.clone());
    }
    recipe.frozen_batch_norm = arguments.freeze_batch_norm;
    Ok(())
}

/// Threads of the network on each rank. With shards or ranks the result is not to depend on the machine.
pub(super) fn threads(
    arguments: &Train,
    recipe: &Recipe,
    communicator: &dyn Communicator,
) -> usize {
    match arguments.threads {
        Some(threads) => threads as usize,
        None if recipe.shards > 1 || communicator.ranks() > 1 => 1,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// The weights of `--init`, which rank 0 reads. Others get their description, and values later.
pub(super) fn init(
    arguments: &Train,
    communicator: &mut dyn Communicator,
) -> Result<Option<Checkpoint>> {
    let Some(name) = &arguments.init else {
        return Ok(None);
    };
    if communicator.rank() == 0 {
        let init = load(name)?;
        broadcast(communicator, &mut serde_json::to_vec(&init.metadata)?)?;
        return Ok(Some(init));
    }
    let mut bytes = Vec::new();
    broadcast(communicator, &mut bytes)?;
    let metadata: Metadata = serde_json::from_slice(&bytes)?;
    Ok(Some(Checkpoint {
        parameters: initial_parameters(&metadata.config(), arguments.seed)?,
        metadata,
        report: LoadReport::default(),
    }))
}

/// Folders, threads and so on.
pub(super) fn run_options(arguments: &Train, threads: usize) -> RunOptions {
    RunOptions {
        out: arguments.out.clone(),
        version: version().to_string(),
        threads,
        workers: arguments.workers as usize,
        resume: arguments.resume,
        save_every: arguments.save_every,
        keep: arguments.keep,
        log_every: arguments.log_every,
        max_skipped_share: arguments.max_skipped,
    }
}

/// A flag that signals set: Ctrl-C, SIGTERM, and SIGUSR1, which launchers forward.
pub(super) fn stop_by_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        // A second Ctrl-C ends the program at once.
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })
    .context("cannot handle Ctrl-C")?;
    #[cfg(unix)]
    signal_hook::flag::register(signal_hook::consts::SIGUSR1, stop.clone())
        .context("cannot handle SIGUSR1")?;
    Ok(stop)
}

/// Adds the last checkpoint to the error of a training that failed while it ran.
pub(super) fn with_last_checkpoint(error: TrainError, options: &RunOptions) -> anyhow::Error {
    use TrainError::{Checkpoint, Data, Diverged, Write};
    let failed_while_running = matches!(
        error,
        Checkpoint(_) | Data(_) | Diverged { .. } | Write { .. }
    );
    let files = options.checkpoints().files();
    let newest = files.ok().and_then(|files| files.into_iter().next());
    let error = anyhow::Error::from(error);
    match newest.filter(|_| failed_while_running) {
        Some(newest) => error.context(format!(
            "the training failed; --resume continues from its last checkpoint, {}",
            newest.display()
        )),
        None => error,
    }
}

fn sgd(momentum: f64) -> OptimizerConfig {
    if momentum == 0.0 {
        OptimizerConfig::Sgd
    } else {
        OptimizerConfig::Momentum {
            momentum,
            nesterov: true,
        }
    }
}

fn schedule(arguments: &Train, recipe: &Recipe, steps_per_epoch: u64) -> Schedule {
    let usual = match arguments.optimizer {
        Some(OptimizerName::Adamw) => 1e-3,
        Some(OptimizerName::Rmsprop) => 0.045,
        _ => match recipe.schedule {
            Schedule::Cosine(cosine) => cosine.initial,
            ref other => other.learning_rate(0),
        },
    };
    let initial = arguments.learning_rate.unwrap_or(usual);
    let in_steps = |epochs: f64| (epochs * steps_per_epoch as f64) as u64;
    match arguments.schedule.unwrap_or(ScheduleName::Cosine) {
        ScheduleName::Cosine => Schedule::Cosine(Cosine {
            initial,
            warm_up_steps: in_steps(arguments.warm_up.unwrap_or(1.0)).min(recipe.steps / 2),
            total_steps: recipe.steps,
            end: 0.0,
        }),
        ScheduleName::Exponential => Schedule::Exponential(ExponentialDecay {
            initial,
            factor: 0.94,
            steps: in_steps(2.5).max(1),
        }),
        ScheduleName::Constant => Schedule::Constant {
            learning_rate: initial,
        },
    }
}

/// What the weights' metadata say of the data.
pub(super) fn source(arguments: &Train) -> String {
    // Only the folder's last name: the full path would reveal the machine's folders.
    let data = std::path::Path::new(&arguments.data).file_name();
    let data = data.map_or(arguments.data.as_str().into(), |name| {
        name.to_string_lossy()
    });
    format!("trained on {data}")
}
