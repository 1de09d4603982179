//! What to train, options, observer and outcome of a run.

use std::path::PathBuf;

use mobilenet_model::checkpoint::Checkpoint;

use crate::checkpoint::Checkpoints;
use crate::data::{OpenData, Skipped};
use crate::error::TrainError;
use crate::evaluation::EvaluationOutcome;
use crate::heads::HeadOutcome;
use crate::log::Record;
use crate::parallel::Wire;
use crate::recipe::Recipe;

/// What to train.
#[derive(Clone)]
pub struct Job<'a> {
    /// The settings.
    pub recipe: Recipe,
    /// The weights before the first step, which count on rank 0 only, and their metadata.
    pub initial: Checkpoint,
    /// The photos.
    pub data: &'a OpenData,
    /// Servers and workers, instead of ranks that step together.
    pub replicas: Option<Replicas>,
    /// Folders, threads and so on.
    pub options: &'a RunOptions,
}

/// How ranks train as servers and workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicas {
    /// Number of servers, slim's `ps_tasks`. The other ranks are workers.
    pub servers: usize,
    /// Batches whose mean is a step (slim's `replicas_to_aggregate`); otherwise workers do not wait.
    pub aggregate: Option<usize>,
}

impl Replicas {
    /// Checks that there are servers and workers.
    pub(super) fn check(self, ranks: usize, recipe: &Recipe) -> Result<(), TrainError> {
        let refuse = |setting, range, found: String| {
            Err(TrainError::Setting {
                setting,
                range,
                found,
            })
        };
        if self.servers == 0 || self.servers >= ranks {
            let found = format!("{} of {ranks} ranks", self.servers);
            return refuse(
                "the number of servers",
                "at least 1, with workers beside",
                found,
            );
        }
        if self.aggregate == Some(0) {
            return refuse("the number of batches of a step", "at least 1", "0".into());
        }
        let found = "asynchronous replicas".to_string();
        if recipe.quantization.is_some() {
            return refuse("training for integers", "synchronous", found);
        }
        if recipe.wire != Wire::F32 {
            return refuse(
                "gradients as bf16",
                "between ranks that step together",
                found,
            );
        }
        Ok(())
    }
}

/// Options of a run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Folder for all output.
    pub out: PathBuf,
    /// Version of the program, which must be the same on all ranks.
    pub version: String,
    /// Threads of the network, on each rank. The bits of the result depend on it.
    pub threads: usize,
    /// Threads that decode and augment photos.
    pub workers: usize,
    /// Whether to continue from the newest good checkpoint, if there is one.
    pub resume: bool,
    /// Steps between checkpoints. `None`: one epoch.
    pub save_every: Option<u64>,
    /// Number of checkpoints that are kept.
    pub keep: usize,
    /// Steps between records.
    pub log_every: u64,
    /// Share of the photos that may be unusable. More are an error.
    pub max_skipped_share: f64,
}

impl RunOptions {
    /// Where the run keeps its checkpoints.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.out.join("checkpoints"), self.keep)
    }
}

/// Observes a training.
pub trait Observer {
    /// The training begins, or continues, with `step` of `steps` steps done.
    fn begin(&mut self, step: u64, steps: u64);
    /// A step is done.
    fn step(&mut self, step: u64, loss: f64);
    /// A record was added to the log.
    fn record(&mut self, record: &Record);
    /// A message to the user.
    fn message(&mut self, text: &str);
}

/// Result of a run.
#[derive(Debug)]
pub struct RunOutcome {
    /// Steps done.
    pub step: u64,
    /// Whether it was asked to stop. It can then be resumed.
    pub interrupted: bool,
    /// The last evaluation, on rank 0.
    pub evaluation: Option<EvaluationOutcome>,
    /// The same of attributes or an embedding.
    pub measured: Option<HeadOutcome>,
    /// Unusable photos.
    pub skipped: Vec<Skipped>,
}
