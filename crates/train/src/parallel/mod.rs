//! Training by several ranks: processes on one or many machines, or threads of one process.
//!
//! ```text
//! Communicator   messages between ranks: Alone, threads of a process, or MPI in another crate
//! collective     broadcast and gather, written once over messages
//! TreeSum        sums in an order that does not depend on the number of ranks
//! Exchange       such sums over all ranks, while they still compute; rounds, wire
//! Shares         which shards of a step each rank computes
//! ```
//!
//! A step's result depends on the number of its shards, and not on the number of ranks that compute
//! them.

mod collective;
mod exchange;
mod rounds;
mod shares;
mod terms;
mod threads;
mod tree;
mod wire;

pub(crate) use collective::write;
pub use collective::{broadcast, gather, gather_on_first};
pub use exchange::Exchange;
pub use shares::Shares;
pub use terms::{Terms, same_on_all};
pub use threads::{ThreadRank, thread_ranks};
pub use tree::TreeSum;
pub use wire::Wire;

use std::time::Duration;

use crate::error::TrainError;

/// Messages between the ranks that train together.
///
/// Messages between two ranks arrive in the order in which they were sent. No call waits for ever:
/// a rank that has ended, or is silent for too long, is an error that names it.
pub trait Communicator {
    /// Number of this rank, from 0. The first one reads and writes files.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn ranks(&self) -> usize;

    /// Sends messages to other ranks, and receives one from each rank of `from`, in that order. All
    /// at once, so ranks may send to each other in any order.
    ///
    /// # Errors
    /// If a rank cannot be reached.
    fn exchange(
        &mut self,
        messages: &[(usize, &[u8])],
        from: &[usize],
    ) -> Result<Vec<Vec<u8>>, TrainError>;

    /// The next message from any rank, and its sender.
    ///
    /// # Errors
    /// If there is none in time.
    fn receive_any(&mut self) -> Result<(usize, Vec<u8>), TrainError>;

    /// Begins to send a message to another rank. Does not wait.
    ///
    /// # Errors
    /// If the rank cannot be reached.
    fn post(&mut self, to: usize, message: Vec<u8>) -> Result<(), TrainError>;

    /// The next message of a rank, if it is there. Messages under way move on whenever this is
    /// called. After a message was asked for in this way, it must be taken by this or [`Self::wait`].
    ///
    /// # Errors
    /// If the rank has ended.
    fn poll(&mut self, from: usize) -> Result<Option<Vec<u8>>, TrainError>;

    /// The next message of a rank, which may have to wait for others before it can send it. The
    /// later its `round` among messages that depend on each other, the longer this waits, so that
    /// whoever waits for the rank that is silent says so first.
    ///
    /// # Errors
    /// If there is none in time.
    fn wait(&mut self, from: usize, round: usize) -> Result<Vec<u8>, TrainError>;
}

/// How long a message of some round is waited for.
pub fn patience(usual: Duration, round: usize) -> Duration {
    usual.mul_f64(1.0 + round as f64 / 20.0)
}

/// A single rank.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Communicator for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn ranks(&self) -> usize {
        1
    }

    fn exchange(
        &mut self,
        messages: &[(usize, &[u8])],
        from: &[usize],
    ) -> Result<Vec<Vec<u8>>, TrainError> {
        let others = messages.iter().map(|(to, _)| to).chain(from);
        match others.max() {
            Some(&rank) => Err(TrainError::NoRank { rank, ranks: 1 }),
            None => Ok(Vec::new()),
        }
    }

    fn receive_any(&mut self) -> Result<(usize, Vec<u8>), TrainError> {
        Err(TrainError::NoRank { rank: 1, ranks: 1 })
    }

    fn post(&mut self, to: usize, _: Vec<u8>) -> Result<(), TrainError> {
        Err(TrainError::NoRank { rank: to, ranks: 1 })
    }

    fn poll(&mut self, from: usize) -> Result<Option<Vec<u8>>, TrainError> {
        self.wait(from, 0).map(Some)
    }

    fn wait(&mut self, from: usize, _: usize) -> Result<Vec<u8>, TrainError> {
        let (rank, ranks) = (from, 1);
        Err(TrainError::NoRank { rank, ranks })
    }
}
