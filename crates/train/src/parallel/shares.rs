//! Which shards of a step each rank computes.

use std::ops::Range;

use crate::error::TrainError;

/// The shards of a step, shared out among ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    of_each: usize,
}

impl Shares {
    /// The same number of shards for each rank. It is a power of two or all of them, because only
    /// then a rank's sum is a part of the fixed tree.
    ///
    /// # Errors
    /// [`TrainError::Ranks`] for another number of ranks, with the possible ones.
    pub fn new(shards: usize, ranks: usize) -> Result<Self, TrainError> {
        let fits = |ranks: usize| {
            ranks == 1
                || (ranks > 0 && shards.is_multiple_of(ranks) && (shards / ranks).is_power_of_two())
        };
        if fits(ranks) {
            let of_each = shards / ranks;
            return Ok(Self { of_each });
        }
        let possible: Vec<String> = (1..=shards)
            .filter(|ranks| fits(*ranks))
            .map(|ranks| ranks.to_string())
            .collect();
        Err(TrainError::Ranks {
            shards,
            possible: possible.join(", "),
            found: ranks,
        })
    }

    /// The shards of a rank.
    pub fn of(self, rank: usize) -> Range<usize> {
        rank * self.of_each..(rank + 1) * self.of_each
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn possible_numbers_of_ranks_are_named() {
        assert_eq!(Shares::new(6, 3).unwrap().of(2), 4..6);
        assert_eq!(Shares::new(6, 1).unwrap().of(0), 0..6);
        for (shards, ranks, possible) in [(6, 2, "1, 3, 6"), (8, 3, "1, 2, 4, 8"), (1, 2, "1")] {
            let error = Shares::new(shards, ranks).unwrap_err().to_string();
            assert!(error.contains(&format!("by {possible} ranks")), "{error}");
        }
        assert!(Shares::new(4, 0).is_err());
    }
}
