//! slim's training by replicas: servers hold slices of the weights, workers compute. A worker does
//! not wait for the others, so its gradients are of weights that have moved since (stale). With
//! `aggregate` a step is the mean of that many batches that were computed from its weights, and later
//! ones are dropped.
//!
//! ```text
//! worker: pull weights from all servers -> batch -> push gradients to all servers -> pull ...
//! server: push -> clipped gradients -> optimiser, average, step of its slice
//! ```
//!
//! The first servers are the first ranks. With one worker and no `aggregate` every bit is that of a
//! training by one process.

mod message;
mod server;
mod worker;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use self::message::slices;
use self::server::{Event, Server};
use super::labelled::LabelledTraining;
use super::options::Replicas;
use crate::checkpoint::broadcast_state;
use crate::data::{Batch, Skipped};
use crate::error::TrainError;
use crate::log::{Record, StepRecord};
use crate::parallel::gather;
use crate::trainer::State;

/// Does the remaining steps. Returns whether it was asked to stop.
pub(super) fn steps(
    training: &mut LabelledTraining<'_>,
    replicas: Replicas,
    stop: &AtomicBool,
) -> Result<bool, TrainError> {
    let rank = training.communicator.rank();
    let state = training.trainer.state();
    let statistics = training.trainer.statistics();
    let slices = slices(state.weights.len(), replicas.servers, statistics);
    let mut whole = None;
    if let Some(slice) = slices.get(rank) {
        let recipe = training.trainer.recipe().clone();
        let part = state.slice(slice.range.clone())?;
        let workers = training.communicator.ranks() - replicas.servers;
        let mut server = Server::new(&recipe, part, slice.clone(), workers, replicas.aggregate);
        if rank == 0 {
            let like = training.trainer.state().clone();
            lead(
                training,
                &mut server,
                &mut |training, server| server.whole(training.communicator, &like, &slices),
                stop,
            )?;
            whole = Some(server.whole(training.communicator, &like, &slices)?);
            Server::quit(training.communicator, replicas.servers)?;
        } else {
            while let Event::Batch { .. } = server.next(training.communicator)? {}
        }
    } else {
        let waits = replicas.aggregate.is_some();
        let mut batch = Batch::default();
        let worked = worker::work(
            &mut training.trainer,
            &mut training.loader,
            training.communicator,
            &slices,
            waits,
            stop,
            &mut batch,
        );
        worked.map_err(|error| training.named(error, &batch))?;
    }
    finish(training, whole)
}

type Whole<'w> =
    dyn FnMut(&mut LabelledTraining<'_>, &Server<'_>) -> Result<State, TrainError> + 'w;

/// The first server, which also logs and saves.
fn lead(
    training: &mut LabelledTraining<'_>,
    server: &mut Server<'_>,
    whole: &mut Whole<'_>,
    stop: &AtomicBool,
) -> Result<(), TrainError> {
    let steps = training.trainer.recipe().steps;
    let save_every = training.save_every();
    let log_every = training.options.log_every.max(1);
    let (mut since, mut losses, mut batches, mut stale) = (Instant::now(), 0.0, 0u64, 0);
    loop {
        if stop.load(Ordering::SeqCst) {
            server.stop();
        }
        let Event::Batch {
            loss,
            staleness,
            step,
        } = server.next(training.communicator)?
        else {
            return Ok(());
        };
        losses += loss;
        batches += 1;
        stale += staleness;
        if !step {
            continue;
        }
        let done = server.step();
        if let Some(output) = &mut training.output {
            output.observer.step(done, loss);
        }
        if done.is_multiple_of(log_every) || done == steps {
            let recipe = training.trainer.recipe();
            let images = batches as f64 * recipe.batch_size as f64;
            let record = Record::Step(StepRecord {
                step: done,
                loss: losses / batches as f64,
                learning_rate: recipe.schedule.learning_rate(done - 1),
                images_per_second: images / since.elapsed().as_secs_f64(),
                staleness: Some(stale as f64 / batches as f64),
            });
            if let Some(output) = &mut training.output {
                output.record(done, record)?;
            }
            (since, losses, batches, stale) = (Instant::now(), 0.0, 0, 0);
        }
        if done.is_multiple_of(save_every) && done < steps {
            let state = whole(training, server)?;
            training.write_checkpoint(&state)?;
        }
    }
}

/// Gives all ranks the state, so that they evaluate together.
fn finish(training: &mut LabelledTraining<'_>, whole: Option<State>) -> Result<bool, TrainError> {
    let trainer = &training.trainer;
    let (recipe, layout) = (trainer.recipe().clone(), trainer.layout().clone());
    let metadata = &training.metadata;
    let state = broadcast_state(training.communicator, whole, &recipe, &layout, metadata)?;
    let stopped = state.step < recipe.steps;
    *training.trainer.state_mut() = state;
    let own = serde_json::to_vec(training.loader.skipped()).map_err(TrainError::message)?;
    for skipped in gather(training.communicator, own)? {
        let skipped: Vec<Skipped> =
            serde_json::from_slice(&skipped).map_err(TrainError::message)?;
        training.skipped.add(skipped)?;
    }
    training.report_skips();
    if stopped {
        training.save()?;
    }
    Ok(stopped)
}
