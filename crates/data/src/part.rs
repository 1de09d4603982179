//! The share of one process in each batch, if several processes train together.

use std::ops::Range;

use super::DataError;

/// One of several processes that train together. Each takes a contiguous part of every batch, which
/// depends on seed, epoch, step, rank and world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Number of the process, from 0.
    pub rank: usize,
    /// Number of processes.
    pub world: usize,
}

impl Part {
    /// A single process, which takes the whole batch.
    pub const WHOLE: Self = Self { rank: 0, world: 1 };

    /// The rank's share of a batch's positions. The shares of all ranks follow each other without
    /// gaps, and their sizes differ by at most 1.
    pub fn of(self, batch: Range<usize>) -> Range<usize> {
        let bound = |rank: usize| batch.start + batch.len() * rank / self.world;
        bound(self.rank)..bound(self.rank + 1)
    }

    /// Checks that the rank is below `world`, and that every rank gets at least one photo.
    pub(super) fn check(self, batch_size: usize) -> Result<(), DataError> {
        let Self { rank, world } = self;
        if rank < world && world <= batch_size {
            return Ok(());
        }
        let message = format!("rank {rank} of {world} for batches of {batch_size} photos");
        Err(DataError::Settings(message))
    }
}

impl Default for Part {
    fn default() -> Self {
        Self::WHOLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_the_batch() {
        assert_eq!(Part::WHOLE.of(8..13), 8..13);
        for (batch, world) in [(0..12, 3), (5..12, 4), (7..9, 4), (3..3, 2)] {
            let parts: Vec<_> = (0..world)
                .map(|rank| Part { rank, world }.of(batch.clone()))
                .collect();
            assert!(parts.iter().cloned().flatten().eq(batch.clone()));
            let lengths = || parts.iter().map(Range::len);
            assert!(lengths().max() <= lengths().min().map(|least| least + 1));
        }
    }

    #[test]
    fn every_rank_has_photos() {
        let part = |rank, world| Part { rank, world };
        assert!(part(3, 4).check(4).is_ok());
        for (part, batch_size) in [(part(0, 0), 4), (part(4, 4), 4), (part(0, 5), 4)] {
            assert!(part.check(batch_size).is_err(), "{part:?}");
        }
    }
}
