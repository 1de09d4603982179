//! Which rank sends which values to which other, so that all of them get the sum of a vector in the
//! order of the fixed tree.
//!
//! Groups of 2^k neighbours are complete subtrees. In a group the ranks halve: those whose numbers
//! differ in bit 0 exchange halves and add, then those with another bit 1 quarters, and so on. The
//! same slices of all groups are then summed, a slice of them by each. Back the same way.
//!
//! Where the number of ranks is 2^k times a small odd number, groups of 2^k are all ranks. Otherwise a
//! few ranks at the end are in no group, the guests. Each gives its vector to a group, of which every
//! rank takes the slice that it will sum, and passes it on with its own.
//!
//! A rank sends about twice the vector, in `2 log2 N` messages if N is a power of two, and in at most
//! `max(30, 4 sqrt(N)) + 2 log2 N` for any other N.

use std::ops::Range;

/// So many groups are few enough for a message from each to each. Guests would send more bytes.
const FEW: usize = 16;

/// Messages at one time. The same number of rounds for each rank, of which some may have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) send: Vec<Part>,
    pub(super) receive: Vec<Part>,
    pub(super) brings: Brings,
    /// The guest whose values this rank has.
    pub(super) guest: Option<usize>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Where it goes, or comes from.
    pub(super) rank: usize,
    pub(super) range: Range<usize>,
    /// The same values of the sender's guest follow.
    pub(super) guest: Option<usize>,
}

/// What comes in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brings {
    /// What is added.
    Terms,
    /// A guest's values, which are kept.
    Guest,
    /// Sums.
    Sums,
}

impl Part {
    fn new(rank: usize, range: Range<usize>) -> Self {
        let guest = None;
        Self { rank, range, guest }
    }
}

impl Round {
    fn new(brings: Brings, send: Vec<Part>, receive: Vec<Part>) -> Self {
        let guest = None;
        Self {
            send,
            receive,
            brings,
            guest,
        }
    }
}

/// Groups of 2^bits ranks, and the guests behind them.
#[derive(Debug, Clone, Copy)]
struct Groups {
    bits: u32,
    groups: usize,
    guests: usize,
}

impl Groups {
    fn new(ranks: usize, bits: u32) -> Self {
        let groups = ranks >> bits;
        let guests = ranks - (groups << bits);
        Self {
            bits,
            groups,
            guests,
        }
    }

    /// Those with the fewest messages. A group has one guest at most.
    fn of(ranks: usize) -> Self {
        let all = Self::new(ranks, ranks.trailing_zeros());
        if all.groups <= FEW {
            return all;
        }
        (all.bits..ranks.ilog2())
            .map(|bits| Self::new(ranks, bits))
            .filter(|groups| groups.guests <= groups.groups)
            .min_by_key(|groups| groups.messages())
            .unwrap_or(all)
    }

    /// Most messages that a rank sends.
    fn messages(self) -> usize {
        let member = 2 * (self.bits as usize + self.groups - 1);
        match self.guests {
            0 => member,
            _ => (member + 1).max(1 << self.bits),
        }
    }

    /// A rank of a group.
    fn member(self, group: usize, place: usize) -> usize {
        group << self.bits | place
    }

    /// The number of a guest among the guests, and of the group to which it gives its vector.
    fn guest(self, rank: usize) -> Option<usize> {
        rank.checked_sub(self.groups << self.bits)
    }

    /// The guest of a rank of a group.
    fn guest_of(self, rank: usize) -> Option<usize> {
        let group = rank >> self.bits;
        (group < self.guests).then_some((self.groups << self.bits) + group)
    }
}

/// The halves of a range, the one that a rank keeps first.
fn halves(rank: usize, bit: u32, range: Range<usize>) -> (Range<usize>, Range<usize>) {
    let middle = range.start + range.len() / 2;
    let (low, high) = (range.start..middle, middle..range.end);
    match rank >> bit & 1 {
        0 => (low, high),
        _ => (high, low),
    }
}

/// The rounds of a rank, and the values whose sum it computes.
pub(super) fn rounds(rank: usize, ranks: usize, all: Range<usize>) -> (Vec<Round>, Range<usize>) {
    let groups = Groups::of(ranks);
    if let Some(number) = groups.guest(rank) {
        let end = all.end;
        return (guest_rounds(groups, number, all), end..end);
    }
    let (mut own, mut rounds, mut back) = (all, Vec::new(), Vec::new());
    for bit in 0..groups.bits {
        let (kept, given) = halves(rank, bit, own);
        let other = rank ^ (1 << bit);
        let kept_part = vec![Part::new(other, kept.clone())];
        let given = vec![Part::new(other, given)];
        rounds.push(Round::new(Brings::Terms, given.clone(), kept_part.clone()));
        back.push(Round::new(Brings::Sums, kept_part, given));
        own = kept;
    }
    if groups.guests > 0 {
        let guest = groups.guest_of(rank).into_iter();
        let slice: Vec<_> = guest.map(|guest| Part::new(guest, own.clone())).collect();
        rounds.push(Round::new(Brings::Guest, Vec::new(), slice.clone()));
        back.push(Round::new(Brings::Sums, slice, Vec::new()));
    }
    if groups.groups > 1 {
        let (start, length) = (own.start, own.len());
        let bound = |group: usize| start + length * group / groups.groups;
        let slice = |rank: usize| {
            let group = rank >> groups.bits;
            bound(group)..bound(group + 1)
        };
        let place = rank & ((1 << groups.bits) - 1);
        let members = (0..groups.groups).map(|group| groups.member(group, place));
        let others: Vec<usize> = members.filter(|other| *other != rank).collect();
        let to_all = |range: &dyn Fn(usize) -> Range<usize>| -> Vec<Part> {
            let parts = others.iter();
            parts
                .map(|other| Part::new(*other, range(*other)))
                .collect()
        };
        let (mut theirs, mut mine) = (to_all(&slice), to_all(&|_| slice(rank)));
        back.push(Round::new(Brings::Sums, mine.clone(), theirs.clone()));
        let guest = groups.guest_of(rank);
        theirs.iter_mut().for_each(|part| part.guest = guest);
        mine.iter_mut()
            .for_each(|part| part.guest = groups.guest_of(part.rank));
        let terms = Round::new(Brings::Terms, theirs, mine);
        rounds.push(Round { guest, ..terms });
        own = slice(rank);
    }
    rounds.extend(back.into_iter().rev());
    (rounds, own)
}

/// The rounds of a guest, which sums nothing itself. Those without messages make it wait for its sums
/// as long as for messages that depend on as many others.
fn guest_rounds(groups: Groups, number: usize, all: Range<usize>) -> Vec<Round> {
    let slices = (0..1 << groups.bits).map(|place| {
        let halve = |range, bit| halves(place, bit, range).0;
        let slice = (0..groups.bits).fold(all.clone(), halve);
        Part::new(groups.member(number, place), slice)
    });
    let slices: Vec<Part> = slices.collect();
    let none = |brings| Round::new(brings, Vec::new(), Vec::new());
    let halving = (0..groups.bits).map(|_| Brings::Terms);
    let back = (0..groups.bits).map(|_| Brings::Sums);
    let mut rounds: Vec<Round> = halving.map(none).collect();
    rounds.push(Round::new(Brings::Guest, slices.clone(), Vec::new()));
    rounds.extend([none(Brings::Terms), none(Brings::Sums)]);
    rounds.push(Round::new(Brings::Sums, Vec::new(), slices));
    rounds.extend(back.map(none));
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_received() {
        for ranks in (1..70).chain([127, 320, 1000]) {
            let all: Vec<_> = (0..ranks)
                .map(|rank| rounds(rank, ranks, 5..105).0)
                .collect();
            for (rank, own) in all.iter().enumerate() {
                assert_eq!(own.len(), all[0].len());
                for (number, round) in own.iter().enumerate() {
                    for part in &round.send {
                        let there = &all[part.rank][number];
                        let part = Part {
                            rank,
                            ..part.clone()
                        };
                        assert!(there.receive.contains(&part));
                        assert_eq!(there.brings, round.brings);
                    }
                }
                let count = |of: fn(&Round) -> usize| -> usize { own.iter().map(of).sum() };
                let sent = count(|round| round.send.len());
                assert_eq!(sent, count(|round| round.receive.len()));
            }
            // Each value is summed by one rank.
            let mut owned: Vec<usize> = (0..ranks)
                .flat_map(|rank| rounds(rank, ranks, 5..105).1)
                .collect();
            owned.sort_unstable();
            assert_eq!(owned, (5..105).collect::<Vec<_>>());
        }
    }

    /// Messages and values that one rank sends at most.
    fn most(ranks: usize, values: usize) -> (usize, usize) {
        let of = |rank| {
            let (rounds, _) = rounds(rank, ranks, 0..values);
            let sent = rounds.iter().flat_map(|round| &round.send);
            let length = |part: &Part| part.range.len() * (1 + usize::from(part.guest.is_some()));
            (sent.clone().count(), sent.map(length).sum())
        };
        let all: Vec<(usize, usize)> = (0..ranks).map(of).collect();
        let most = |of: fn(&(usize, usize)) -> usize| all.iter().map(of).max().unwrap();
        (most(|(messages, _)| *messages), most(|(_, values)| *values))
    }

    #[test]
    fn no_rank_sends_many_messages() {
        let messages = |ranks| most(ranks, 1 << 20).0;
        assert_eq!([1, 2, 8, 1024].map(messages), [0, 2, 6, 20]);
        assert_eq!([3, 6, 96].map(messages), [4, 6, 14]);
        assert_eq!([31, 127, 1000, 1023].map(messages), [17, 35, 71, 71]);
        for ranks in 2..300 {
            let (messages, values) = most(ranks, 1 << 20);
            let (root, bits) = ((ranks as f64).sqrt(), (ranks as f64).log2());
            let bound = f64::max(30.0, 4.0 * root) + 2.0 * bits;
            assert!(messages as f64 <= bound, "{ranks}: {messages}");
            // A guest's values are passed on by the ranks of a group, a slice by each.
            assert!(
                values as f64 <= 2.5 * f64::from(1 << 20),
                "{ranks}: {values}"
            );
        }
    }
}
