//! How a training is run, who watches it, and how it ends.

use std::path::PathBuf;

use crate::checkpoint::Checkpoints;
use crate::data::Skipped;
use crate::evaluation::EvaluationOutcome;
use crate::log::Record;

/// Where and how to run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Folder of everything that is written.
    pub out: PathBuf,
    /// Threads of the network.
    pub threads: usize,
    /// Threads that decode and augment photos.
    pub workers: usize,
    /// Continue from the newest good checkpoint, if there is one.
    pub resume: bool,
    /// Steps between checkpoints; `None`: one epoch.
    pub save_every: Option<u64>,
    /// Checkpoints that are kept.
    pub keep: usize,
    /// Steps between records.
    pub log_every: u64,
    /// Share of the photos that may be unusable before that is an error.
    pub max_skipped_share: f64,
}

impl RunOptions {
    /// Where the run keeps its checkpoints.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.out.join("checkpoints"), self.keep)
    }
}

/// Watches a training.
pub trait Observer {
    /// It begins, or continues, with `step` of `steps` steps done.
    fn begin(&mut self, step: u64, steps: u64);
    /// A step is done.
    fn step(&mut self, step: u64, loss: f64);
    /// A record was added to the log.
    fn record(&mut self, record: &Record);
    /// A message to the user.
    fn message(&mut self, text: &str);
}

/// How a training ended.
#[derive(Debug)]
pub struct RunOutcome {
    /// Steps done.
    pub step: u64,
    /// Whether it was asked to stop. It can be resumed then.
    pub interrupted: bool,
    /// The last evaluation.
    pub evaluation: Option<EvaluationOutcome>,
    /// Photos that could not be used.
    pub skipped: Vec<Skipped>,
}
