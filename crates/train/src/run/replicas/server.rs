//! A server: it holds a slice of the weights with slots, average and step, and changes it as workers
//! send what their batches contribute.

use mobilenet_model::little_endian::bytes_of;
use std::collections::VecDeque;

use super::message::{Push, Slice, ToServer, weights};
use crate::error::TrainError;
use crate::parallel::{Communicator, TreeSum, write};
use crate::recipe::Recipe;
use crate::trainer::State;

/// One of the servers.
pub(super) struct Server<'a> {
    recipe: &'a Recipe,
    state: State,
    slice: Slice,
    workers: usize,
    /// Number of batches whose mean is a step, as in slim's `SyncReplicasOptimizer`. Otherwise each
    /// batch is a step.
    aggregate: Option<usize>,
    /// Workers that wait for weights, with the steps that they wait for.
    waiting: VecDeque<(usize, u64)>,
    /// How many more workers may compute from these weights.
    left: usize,
    sum: TreeSum,
    summed: usize,
    pushes: u64,
    stopping: bool,
    stopped: usize,
    /// Whether it is the first server, which waits for a state with this number of pushes.
    state_wanted: Option<u64>,
}

/// What has happened.
pub(super) enum Event {
    /// A batch has come, perhaps too late to count.
    Batch {
        loss: f64,
        /// Steps since its weights were pulled.
        staleness: u64,
        /// Whether it completes a step.
        step: bool,
    },
    /// The end.
    End,
}

impl<'a> Server<'a> {
    pub(super) fn new(
        recipe: &'a Recipe,
        state: State,
        slice: Slice,
        workers: usize,
        aggregate: Option<usize>,
    ) -> Self {
        let left = aggregate.map_or(usize::MAX, |batches| batches.max(workers));
        Self {
            recipe,
            state,
            slice,
            workers,
            aggregate,
            waiting: VecDeque::new(),
            left,
            sum: TreeSum::default(),
            summed: 0,
            pushes: 0,
            stopping: false,
            stopped: 0,
            state_wanted: None,
        }
    }

    /// Steps done.
    pub(super) fn step(&self) -> u64 {
        self.state.step
    }

    /// Gives workers no more weights.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
    }

    fn is_first(communicator: &dyn Communicator) -> bool {
        communicator.rank() == 0
    }

    /// Works until something happens.
    pub(super) fn next(
        &mut self,
        communicator: &mut dyn Communicator,
    ) -> Result<Event, TrainError> {
        loop {
            self.answer(communicator)?;
            if self.stopped == self.workers {
                return Ok(Event::End);
            }
            let (from, bytes) = communicator.receive_any()?;
            match ToServer::of_bytes(&bytes, &self.slice)? {
                ToServer::Pull { at_least, stop } => {
                    self.stopping |= stop;
                    self.waiting.push_back((from, at_least));
                }
                ToServer::Push(push) => return self.add(push),
                ToServer::State { pushes } => self.state_wanted = Some(pushes),
                ToServer::Quit => return Ok(Event::End),
            }
        }
    }

    /// Answers whoever waits, as far as it can.
    fn answer(&mut self, communicator: &mut dyn Communicator) -> Result<(), TrainError> {
        if self
            .state_wanted
            .is_some_and(|pushes| pushes <= self.pushes)
        {
            self.state_wanted = None;
            communicator.exchange(&[(0, &bytes_of(&self.state.values()))], &[])?;
        }
        let is_first = Self::is_first(communicator);
        let ends = is_first && (self.stopping || self.state.step >= self.recipe.steps);
        for _ in 0..self.waiting.len() {
            let Some((worker, at_least)) = self.waiting.pop_front() else {
                break;
            };
            if ends {
                self.stopped += 1;
                communicator.exchange(&[(worker, &[])], &[])?;
            } else if at_least <= self.state.step && (!is_first || self.left > 0) {
                self.left = self
                    .left
                    .saturating_sub(usize::from(self.aggregate.is_some()));
                let bytes = weights(self.state.step, &self.state.weights);
                communicator.exchange(&[(worker, &bytes)], &[])?;
            } else {
                self.waiting.push_back((worker, at_least));
            }
        }
        Ok(())
    }

    fn add(&mut self, push: Push) -> Result<Event, TrainError> {
        self.pushes += 1;
        let staleness = self.state.step.saturating_sub(push.at);
        let loss = push.loss;
        let counts =
            self.state.step < self.recipe.steps && (self.aggregate.is_none() || staleness == 0);
        let step = counts && self.count(push, staleness)?;
        Ok(Event::Batch {
            loss,
            staleness,
            step,
        })
    }

    /// Counts a batch. Returns whether it completes a step.
    fn count(&mut self, push: Push, staleness: u64) -> Result<bool, TrainError> {
        let Push {
            mut values, pulled, ..
        } = push;
        if staleness > 0 {
            // Others have moved the statistics since. So they move by as much as the batch moved
            // those that it saw.
            let mut pulled = pulled.iter();
            for range in &self.slice.statistics {
                let (now, moved) = (
                    &self.state.weights[range.clone()],
                    &mut values[range.clone()],
                );
                for ((moved, now), pulled) in moved.iter_mut().zip(now).zip(&mut pulled) {
                    *moved = now + (*moved - pulled);
                }
            }
        }
        let batches = self.aggregate.unwrap_or(1);
        if batches > 1 {
            self.sum.push(values);
            self.summed += 1;
            if self.summed < batches {
                return Ok(false);
            }
            values = self.sum.finish();
            values.iter_mut().for_each(|value| *value /= batches as f32);
        }
        self.summed = 0;
        let rate = self.recipe.schedule.learning_rate(self.state.step);
        self.state.update(&values, &self.slice.statistics, rate)?;
        if self.aggregate.is_some() {
            self.left = batches.max(self.workers);
        }
        Ok(true)
    }

    /// On the first server: the whole state, after all servers have got what it has got.
    pub(super) fn whole(
        &self,
        communicator: &mut dyn Communicator,
        of: &State,
        slices: &[Slice],
    ) -> Result<State, TrainError> {
        let pushes = self.pushes;
        let ask = ToServer::State { pushes }.to_bytes();
        let others: Vec<usize> = (1..slices.len()).collect();
        let messages: Vec<(usize, &[u8])> = others.iter().map(|to| (*to, &ask[..])).collect();
        let answers = communicator.exchange(&messages, &others)?;
        let mut parts = vec![self.state.clone()];
        for (slice, answer) in slices.iter().skip(1).zip(answers) {
            let mut part = of.slice(slice.range.clone())?;
            let mut values = vec![0.0; part.values().len()];
            write(&answer, &mut values)?;
            part.set_values(&values)?;
            parts.push(part);
        }
        of.joined(&parts)
    }

    /// On the first server: tells the others that all workers have stopped.
    pub(super) fn quit(
        communicator: &mut dyn Communicator,
        servers: usize,
    ) -> Result<(), TrainError> {
        let quit = ToServer::Quit.to_bytes();
        let messages: Vec<(usize, &[u8])> = (1..servers).map(|to| (to, &quit[..])).collect();
        communicator.exchange(&messages, &[]).map(|_| ())
    }
}
