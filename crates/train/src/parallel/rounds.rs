//! Which rank sends which values to which other, so that all of them get the sum of a vector in the
//! order of the fixed tree.
//!
//! Of 2^k times an odd number of ranks, each 2^k neighbours are a complete subtree. They halve: ranks
//! whose numbers differ in bit 0 exchange halves and add, then those with another bit 1 quarters, and
//! so on. The same slices of all subtrees are then summed, a slice of them by each. Back the same way.
//! A rank sends less than twice the vector, in `2 k` messages if the number is a power of two.

use std::ops::Range;

/// Messages at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Round {
    /// Ranks and the values that they get.
    pub(super) send: Vec<(usize, Range<usize>)>,
    /// Ranks and the values that they send.
    pub(super) receive: Vec<(usize, Range<usize>)>,
    /// Whether what comes is added. Otherwise it is the sum.
    pub(super) adds: bool,
}

/// The rounds of a rank, and the values whose sum it computes.
pub(super) fn rounds(rank: usize, ranks: usize, all: Range<usize>) -> (Vec<Round>, Range<usize>) {
    let bits = ranks.trailing_zeros();
    let (mut own, mut rounds, mut back) = (all, Vec::new(), Vec::new());
    let mut exchange = |other: usize, kept: Range<usize>, given: Range<usize>| {
        rounds.push(Round {
            send: vec![(other, given.clone())],
            receive: vec![(other, kept.clone())],
            adds: true,
        });
        back.push(Round {
            send: vec![(other, kept)],
            receive: vec![(other, given)],
            adds: false,
        });
    };
    for bit in 0..bits {
        let middle = own.start + own.len() / 2;
        let (low, high) = (own.start..middle, middle..own.end);
        let (kept, given) = match rank >> bit & 1 {
            0 => (low, high),
            _ => (high, low),
        };
        exchange(rank ^ (1 << bit), kept.clone(), given);
        own = kept;
    }
    let subtrees = ranks >> bits;
    if subtrees > 1 {
        let (start, length) = (own.start, own.len());
        let bound = |subtree: usize| start + length * subtree / subtrees;
        let slice = |rank: usize| bound(rank >> bits)..bound((rank >> bits) + 1);
        let place = rank & ((1 << bits) - 1);
        let members = (0..subtrees).map(|subtree| subtree << bits | place);
        let others: Vec<usize> = members.filter(|other| *other != rank).collect();
        let theirs: Vec<_> = others.iter().map(|other| (*other, slice(*other))).collect();
        let mine: Vec<_> = others.iter().map(|other| (*other, slice(rank))).collect();
        rounds.push(Round {
            send: theirs.clone(),
            receive: mine.clone(),
            adds: true,
        });
        back.push(Round {
            send: mine,
            receive: theirs,
            adds: false,
        });
        own = slice(rank);
    }
    rounds.extend(back.into_iter().rev());
    (rounds, own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_received() {
        for ranks in 1..20 {
            let all: Vec<_> = (0..ranks)
                .map(|rank| rounds(rank, ranks, 5..105).0)
                .collect();
            for (rank, own) in all.iter().enumerate() {
                for (number, round) in own.iter().enumerate() {
                    for (to, range) in &round.send {
                        let there = &all[*to][number].receive;
                        assert!(there.contains(&(rank, range.clone())));
                    }
                    assert_eq!(round.send.len(), round.receive.len());
                }
            }
            // Each value is summed by one rank.
            let mut owned: Vec<usize> = (0..ranks)
                .flat_map(|rank| rounds(rank, ranks, 5..105).1)
                .collect();
            owned.sort_unstable();
            assert_eq!(owned, (5..105).collect::<Vec<_>>());
        }
    }

    #[test]
    fn powers_of_two_need_few_messages() {
        let messages = |ranks: usize| -> usize {
            let rounds = rounds(ranks / 2, ranks, 0..1 << 20).0;
            rounds.iter().map(|round| round.send.len()).sum()
        };
        assert_eq!([1, 2, 8, 1024].map(messages), [0, 2, 6, 20]);
        assert_eq!([3, 6, 96].map(messages), [4, 6, 14]);
    }
}
