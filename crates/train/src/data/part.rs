//! Which photos of a batch one of several processes makes.

use std::ops::Range;

use super::DataError;

/// A process among those that train together: each takes a contiguous part of every batch. Which
/// photos these are is a function of seed, epoch, step, rank and world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The number of the process, from 0.
    pub rank: usize,
    /// How many processes there are.
    pub world: usize,
}

impl Part {
    /// One process alone: the whole batch.
    pub const WHOLE: Self = Self { rank: 0, world: 1 };

    /// The rank's share of a batch's positions. The shares of all ranks follow each other without a
    /// gap, and their sizes differ by at most 1.
    pub(super) fn of(self, batch: Range<usize>) -> Range<usize> {
        let bound = |rank: usize| batch.start + batch.len() * rank / self.world;
        bound(self.rank)..bound(self.rank + 1)
    }

    /// Refuses a rank outside the world, and a world with ranks that would have no photos.
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
