//! Options, observer and outcome of a run.

use std::path::PathBuf;

use crate::checkpoint::Checkpoints;
use crate::data::Skipped;
use crate::evaluation::EvaluationOutcome;
use crate::log::Record;

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
    /// Unusable photos.
    pub skipped: Vec<Skipped>,
}
