//! What the first rank writes: checkpoints, records, weights, the report.

use std::fs::File;

use mobilenet_model::checkpoint::Metadata;

use super::options::{Observer, RunOptions};
use crate::checkpoint::{Checkpoints, broadcast_state};
use crate::error::TrainError;
use crate::layout::ParameterLayout;
use crate::log::{History, JsonLines, Record, TensorBoard};
use crate::parallel::Communicator;
use crate::recipe::Recipe;
use crate::trainer::State;

/// The files of a training, and who watches it.
pub(crate) struct Output<'a> {
    pub(crate) checkpoints: Checkpoints,
    pub(crate) history: History,
    log: JsonLines<File>,
    board: TensorBoard,
    pub(crate) observer: &'a mut dyn Observer,
    /// Number of skipped photos that were reported to the observer.
    pub(crate) reported_skips: usize,
}

/// The state that all ranks begin with, which rank 0 gives them: that of the newest checkpoint if the
/// training goes on, otherwise the initial one.
pub(crate) fn first_state(
    communicator: &mut dyn Communicator,
    recipe: &Recipe,
    layout: &dyn ParameterLayout,
    network: &Metadata,
    options: &RunOptions,
    observer: &mut dyn Observer,
    initial: impl FnOnce() -> Result<State, TrainError>,
) -> Result<State, TrainError> {
    let state = match communicator.rank() {
        0 => match stored(recipe, layout, network, options, observer)? {
            Some(state) => Some(state),
            None => Some(initial()?),
        },
        _ => None,
    };
    broadcast_state(communicator, state, recipe, layout, network)
}

/// The state of the newest checkpoint, if the training goes on.
fn stored(
    recipe: &Recipe,
    layout: &dyn ParameterLayout,
    network: &Metadata,
    options: &RunOptions,
    observer: &mut dyn Observer,
) -> Result<Option<State>, TrainError> {
    let checkpoints = options.checkpoints();
    std::fs::create_dir_all(&options.out).map_err(TrainError::write(&options.out))?;
    if options.resume {
        let (state, problems) = checkpoints.newest(recipe, layout, network)?;
        for problem in problems {
            observer.message(&format!("passed over: {problem}"));
        }
        return Ok(state);
    }
    match checkpoints.files()?.into_iter().next() {
        Some(path) => Err(TrainError::Exists { path }),
        None => Ok(None),
    }
}

impl<'a> Output<'a> {
    /// Goes on after `step` of `steps` steps.
    pub(crate) fn open(
        options: &RunOptions,
        step: u64,
        steps: u64,
        steps_per_epoch: u64,
        observer: &'a mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let log_path = options.out.join("log.jsonl");
        let mut history = History::default();
        if step > 0 && log_path.exists() {
            history = History::read(&log_path)?;
        }
        history.truncate(step, step / steps_per_epoch);
        history.write(&log_path)?;
        observer.begin(step, steps);
        Ok(Self {
            checkpoints: options.checkpoints(),
            history,
            log: JsonLines::append(&log_path)?,
            board: TensorBoard::create(&options.out, step + 1)?,
            observer,
            reported_skips: 0,
        })
    }

    /// Whether the previous run stopped between an epoch's checkpoint, after `step` steps, and its
    /// evaluation.
    pub(crate) fn misses_evaluation(&self, step: u64, steps_per_epoch: u64) -> bool {
        let epochs = self.history.evaluated();
        step > 0 && step.is_multiple_of(steps_per_epoch) && epochs < Some(step / steps_per_epoch)
    }

    /// Adds a record that was made after `step` steps.
    pub(crate) fn record(&mut self, step: u64, record: Record) -> Result<(), TrainError> {
        self.log.write(&record)?;
        match &record {
            Record::Step(record) => self.board.step(record)?,
            Record::Epoch(record) => self.board.epoch(step, record)?,
            Record::Measure(record) => self.board.measure(step, record)?,
            Record::Detection(record) => self.board.detection(step, record)?,
        }
        self.observer.record(&record);
        self.history.records.push(record);
        Ok(())
    }
}
