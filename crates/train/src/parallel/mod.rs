//! Training by several ranks: processes on one or many machines, or threads of one process.
//!
//! ```text
//! Communicator   messages between ranks: Alone, threads of a process, or MPI in another crate
//! collective     broadcast, gather and sum, written once over messages
//! TreeSum        sums in an order that does not depend on the number of ranks
//! Shares         which shards of a step each rank computes
//! ```
//!
//! A step's result depends on the number of its shards, and not on the number of ranks that compute
//! them.

mod collective;
mod shares;
mod terms;
mod threads;
mod tree;

pub use collective::{broadcast, gather, gather_on_first, sum};
pub(crate) use collective::{bytes_of, write};
pub use shares::Shares;
pub use terms::{Terms, same_on_all};
pub use threads::{ThreadRank, thread_ranks};
pub use tree::TreeSum;

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
}
