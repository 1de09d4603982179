//! A worker: it pulls weights, computes a batch of its own, and pushes what the batch contributes.

use std::sync::atomic::{AtomicBool, Ordering};

use super::message::{Push, Slice, ToServer, read_weights};
use crate::data::{Batch, Loader};
use crate::error::TrainError;
use crate::parallel::Communicator;
use crate::trainer::Trainer;

/// Works until the first server has no more to do. Leaves the last batch, which an error is about.
pub(super) fn work(
    trainer: &mut Trainer,
    loader: &mut Loader,
    communicator: &mut dyn Communicator,
    slices: &[Slice],
    waits: bool,
    stop: &AtomicBool,
    batch: &mut Batch,
) -> Result<(), TrainError> {
    while let Some(steps) = pull(trainer, communicator, slices, waits, stop)? {
        loader.give_back(std::mem::take(batch));
        *batch = loader.next_batch()?;
        // Dropout of the batch, which is not that of the server's step if there are more workers.
        trainer.state_mut().step = batch.step;
        push(trainer, communicator, slices, &steps, batch)?;
    }
    Ok(())
}

/// Gets the weights of all servers, and the steps that each of them has done.
fn pull(
    trainer: &mut Trainer,
    communicator: &mut dyn Communicator,
    slices: &[Slice],
    waits: bool,
    stop: &AtomicBool,
) -> Result<Option<Vec<u64>>, TrainError> {
    let stop = stop.load(Ordering::SeqCst);
    let (mut steps, mut at_least) = (Vec::with_capacity(slices.len()), 0);
    for (server, slice) in slices.iter().enumerate() {
        let ask = ToServer::Pull { at_least, stop }.to_bytes();
        let answer = communicator.exchange(&[(server, &ask)], &[server])?;
        let answer = answer.into_iter().next().unwrap_or_default();
        let weights = &mut trainer.state_mut().weights;
        let weights = weights.get_mut(slice.range.clone()).unwrap_or_default();
        let Some(done) = read_weights(&answer, weights)? else {
            return Ok(None);
        };
        // Where all servers step together, the weights must be of one step or later.
        at_least = if waits && server == 0 { done } else { at_least };
        steps.push(done);
    }
    Ok(Some(steps))
}

fn push(
    trainer: &mut Trainer,
    communicator: &mut dyn Communicator,
    slices: &[Slice],
    steps: &[u64],
    batch: &Batch,
) -> Result<(), TrainError> {
    trainer.compute(&batch.images, &batch.labels, 0)?;
    let losses = std::mem::take(&mut trainer.share_mut().losses);
    let loss = trainer.prepare(&losses)?;
    let messages: Vec<Vec<u8>> = slices
        .iter()
        .zip(steps)
        .map(|(slice, at)| {
            let values = trainer.share_mut().values[slice.range.clone()].to_vec();
            let pulled = slice.statistics_of(&trainer.state().weights[slice.range.clone()]);
            let push = Push {
                at: *at,
                loss,
                values,
                pulled,
            };
            ToServer::Push(push).to_bytes()
        })
        .collect();
    let messages = messages.iter().map(Vec::as_slice).enumerate();
    communicator.exchange(&messages.collect::<Vec<_>>(), &[])?;
    Ok(())
}
