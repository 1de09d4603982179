//! The sum over all ranks, while the values are still computed: what is final goes on its way, and
//! what has arrived is added, whenever the computing thread looks after it.

use std::collections::VecDeque;
use std::ops::Range;

use super::Communicator;
use super::rounds::{Brings, Round, rounds};
use super::tree::TreeSum;
use super::wire::{Encoding, Wire};
use crate::error::TrainError;

/// So many values that are final go on their way together: 2 MB, so that messages and what is added
/// stay in caches. Two ranks spend 9 instead of 11 ms a step on 4 million values.
const BUCKET: usize = 1 << 19;

/// Sums vectors of the same layout over all ranks, in the order of a [`TreeSum`]. All ranks must name
/// the same ranges in the same order.
#[derive(Debug)]
pub struct Exchange {
    encoding: Encoding,
    /// Of each value, what rounding has lost where this rank sent it.
    lost: Vec<f32>,
    /// Final values that are not on their way.
    ready: Range<usize>,
    /// Only the first is on its way, so that messages between two ranks have one order.
    buckets: VecDeque<Bucket>,
    /// Rounds that are done.
    round: usize,
    /// Memory of messages that have come.
    spare: Vec<Vec<u8>>,
    /// What a guest of this rank's group has given it.
    guest: Vec<f32>,
}

/// Values that are summed together.
#[derive(Debug)]
struct Bucket {
    range: Range<usize>,
    /// What is left of the rounds. None before the first.
    rounds: Option<VecDeque<Round>>,
    /// The values whose sum this rank computes.
    own: Range<usize>,
    /// Whether the first round's messages are on their way.
    sent: bool,
    /// What has come of the first round.
    received: Vec<Option<Vec<u8>>>,
}

impl Exchange {
    /// For vectors of which some ranges, in order, are never rounded.
    pub fn new(wire: Wire, exact: Vec<Range<usize>>) -> Self {
        Self {
            encoding: Encoding::new(wire, exact),
            lost: Vec::new(),
            ready: 0..0,
            buckets: VecDeque::new(),
            round: 0,
            spare: Vec::new(),
            guest: Vec::new(),
        }
    }

    /// Sums all values.
    ///
    /// # Errors
    /// If a rank cannot be reached, or has another number of values.
    pub fn sum(
        &mut self,
        communicator: &mut dyn Communicator,
        values: &mut [f32],
    ) -> Result<(), TrainError> {
        self.add(communicator, values, 0..values.len())?;
        self.finish(communicator, values)
    }

    /// Some values are final. Does what can be done without waiting.
    ///
    /// # Errors
    /// As [`Self::sum`].
    pub fn add(
        &mut self,
        communicator: &mut dyn Communicator,
        values: &mut [f32],
        range: Range<usize>,
    ) -> Result<(), TrainError> {
        if range.end == self.ready.start {
            self.ready.start = range.start;
        } else {
            self.begin();
            self.ready = range;
        }
        if self.ready.len() >= BUCKET {
            self.begin();
        }
        self.advance(communicator, values, false)
    }

    /// Waits until all values are sums.
    ///
    /// # Errors
    /// As [`Self::sum`].
    pub fn finish(
        &mut self,
        communicator: &mut dyn Communicator,
        values: &mut [f32],
    ) -> Result<(), TrainError> {
        self.begin();
        self.advance(communicator, values, true)?;
        self.round = 0;
        Ok(())
    }

    /// Forgets what rounding has lost. Training does so at each checkpoint, from which a run may go on
    /// that does not know it.
    pub fn forget(&mut self) {
        self.lost.clear();
    }

    fn begin(&mut self) {
        let range = std::mem::take(&mut self.ready);
        if !range.is_empty() {
            self.buckets.push_back(Bucket {
                range,
                rounds: None,
                own: 0..0,
                sent: false,
                received: Vec::new(),
            });
        }
    }

    fn advance(
        &mut self,
        communicator: &mut dyn Communicator,
        values: &mut [f32],
        waits: bool,
    ) -> Result<(), TrainError> {
        let (encoding, lost) = (&self.encoding, &mut self.lost);
        if encoding.rounds() && lost.len() < values.len() {
            lost.resize(values.len(), 0.0);
        }
        while let Some(bucket) = self.buckets.front_mut() {
            if bucket.rounds.is_none() {
                bucket.plan(communicator);
                if communicator.ranks() > 1 {
                    encoding.restore(values, lost, bucket.range.clone());
                }
            }
            while let Some(round) = bucket.rounds.as_mut().and_then(|rounds| rounds.pop_front()) {
                if !bucket.sent {
                    for part in &round.send {
                        let range = || part.range.clone();
                        if round.brings != Brings::Sums {
                            encoding.round(values, lost, range());
                        }
                        let memory = self.spare.pop().unwrap_or_default();
                        let mut message = encoding.message(values, range(), memory);
                        if part.guest.is_some() {
                            let more = encoding.message(&self.guest, range(), Vec::new());
                            message.extend(more);
                        }
                        communicator.post(part.rank, message)?;
                    }
                    bucket.sent = true;
                    bucket.received = vec![None; round.receive.len()];
                }
                for (part, place) in round.receive.iter().zip(&mut bucket.received) {
                    match (&place, waits) {
                        (Some(_), _) => {}
                        (None, true) => *place = Some(communicator.wait(part.rank, self.round)?),
                        (None, false) => *place = communicator.poll(part.rank)?,
                    }
                }
                if bucket.received.iter().any(Option::is_none) {
                    if let Some(rounds) = &mut bucket.rounds {
                        rounds.push_front(round);
                    }
                    return Ok(());
                }
                bucket.sent = false;
                self.round += 1;
                let received = std::mem::take(&mut bucket.received);
                let received: Vec<Vec<u8>> = received.into_iter().flatten().collect();
                if round.brings == Brings::Terms {
                    let rank = communicator.rank();
                    add(encoding, values, &self.guest, rank, &round, &received)?;
                    if bucket.is_summed() {
                        encoding.round(values, lost, bucket.own.clone());
                    }
                } else {
                    for (part, bytes) in round.receive.iter().zip(&received) {
                        let to = if round.brings == Brings::Guest {
                            self.guest.resize(values.len(), 0.0);
                            &mut self.guest
                        } else {
                            &mut *values
                        };
                        encoding.write(bytes, to, part.range.clone())?;
                    }
                }
                self.spare.extend(received);
            }
            self.buckets.pop_front();
        }
        Ok(())
    }
}

impl Bucket {
    fn plan(&mut self, communicator: &dyn Communicator) {
        let (rank, ranks) = (communicator.rank(), communicator.ranks());
        let (rounds, own) = rounds(rank, ranks, self.range.clone());
        (self.rounds, self.own) = (Some(rounds.into()), own);
    }

    /// Whether all that comes now are sums.
    fn is_summed(&self) -> bool {
        let mut rounds = self.rounds.iter().flatten();
        rounds.all(|round| round.brings == Brings::Sums)
    }
}

/// Adds what has come to this rank's values, in the order of the ranks.
fn add(
    encoding: &Encoding,
    values: &mut [f32],
    guest: &[f32],
    rank: usize,
    round: &Round,
    received: &[Vec<u8>],
) -> Result<(), TrainError> {
    let Some(own) = round.receive.first().map(|part| part.range.clone()) else {
        return Ok(());
    };
    let has_guests = round.guest.is_some() || round.receive.iter().any(|part| part.guest.is_some());
    // The sum of two has the same bits in either order.
    if let ([bytes], false) = (received, has_guests) {
        return encoding.add(bytes, values, own);
    }
    let mut terms = vec![(rank, values[own.clone()].to_vec())];
    let of_guest = round.guest.map(|of| (of, guest[own.clone()].to_vec()));
    let mut of_guests: Vec<_> = of_guest.into_iter().collect();
    let mut read = |bytes: &[u8]| {
        encoding.write(bytes, values, own.clone())?;
        Ok::<_, TrainError>(values[own.clone()].to_vec())
    };
    for (part, bytes) in round.receive.iter().zip(received) {
        let (bytes, more) = match part.guest {
            Some(_) => bytes.split_at(bytes.len() / 2),
            None => (&bytes[..], &[][..]),
        };
        terms.push((part.rank, read(bytes)?));
        if let Some(guest) = part.guest {
            of_guests.push((guest, read(more)?));
        }
    }
    let sum = match has_guests {
        false => tree(terms).finish(),
        true => {
            // All groups are larger subtrees than any of guests, which come last.
            let mut last = tree(of_guests).finish();
            tree(terms).add_to(0..last.len(), &mut last);
            last
        }
    };
    values[own].copy_from_slice(&sum);
    Ok(())
}

/// The tree of vectors by ranks.
fn tree(mut terms: Vec<(usize, Vec<f32>)>) -> TreeSum {
    terms.sort_by_key(|(of, _)| *of);
    let mut tree = TreeSum::default();
    terms.into_iter().for_each(|(_, vector)| tree.push(vector));
    tree
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::super::collective::tests::on_ranks;
    use super::super::threads::thread_ranks;
    use super::*;

    fn value(rank: usize, at: usize) -> f32 {
        ((rank * 31 + at) as f32 * 0.7).sin() * 1e3
    }

    fn vector(rank: usize, length: usize) -> Vec<f32> {
        (0..length).map(|at| value(rank, at)).collect()
    }

    #[test]
    fn sums_have_the_bits_of_the_tree() {
        for (ranks, length) in [
            (1, 4),
            (2, 5),
            (3, 7),
            (4, 2),
            (5, 100),
            (6, 50),
            (8, 64),
            (12, 9),
            (31, 40),
            (96, 5),
            (127, 70),
            (128, 9),
            (135, 300),
        ] {
            let mut tree = TreeSum::default();
            (0..ranks).for_each(|rank| tree.push(vector(rank, length)));
            let expected = tree.finish();
            let sums = on_ranks(ranks, |rank| {
                let mut values = vector(rank.rank(), length);
                Exchange::new(Wire::F32, Vec::new())
                    .sum(rank, &mut values)
                    .unwrap();
                values
            });
            assert!(sums.iter().all(|sum| *sum == expected), "{ranks}");
        }
    }

    /// From the end, as gradients become final, in any parts and with any delays.
    #[test]
    fn parts_that_become_final_one_by_one_have_the_same_sum() {
        const LENGTH: usize = 2 * BUCKET + BUCKET / 2;
        for ranks in [2, 3, 4] {
            let mut tree = TreeSum::default();
            (0..ranks).for_each(|rank| tree.push(vector(rank, LENGTH)));
            let expected = tree.finish();
            let sums = on_ranks(ranks, |rank| {
                let mut exchange = Exchange::new(Wire::F32, Vec::new());
                let (mut values, full) = (vec![0.0; LENGTH], vector(rank.rank(), LENGTH));
                let mut end = LENGTH;
                for part in 1..=7 {
                    let start = LENGTH - LENGTH * part / 7;
                    std::thread::sleep(std::time::Duration::from_millis(3 * rank.rank() as u64));
                    values[start..end].copy_from_slice(&full[start..end]);
                    exchange.add(rank, &mut values, start..end).unwrap();
                    end = start;
                }
                exchange.finish(rank, &mut values).unwrap();
                values
            });
            assert!(sums.iter().all(|sum| *sum == expected), "{ranks}");
        }
    }

    /// All ranks get the same sums. What one step loses, the next ones have, so means over many steps
    /// are far closer than a bf16 is; values that are exact are the tree's.
    #[test]
    fn rounded_sums_lose_nothing_in_the_long_run() {
        const STEPS: usize = 64;
        for ranks in [2, 3, 4, 17] {
            let exact = vec![10..15, 15..20];
            let mut tree = TreeSum::default();
            (0..ranks).for_each(|rank| tree.push(vector(rank, 40)));
            let expected = tree.finish();
            let sums = on_ranks(ranks, |rank| {
                let mut exchange = Exchange::new(Wire::Bf16, exact.clone());
                let mut sums = Vec::new();
                for _ in 0..STEPS {
                    let mut values = vector(rank.rank(), 40);
                    exchange.sum(rank, &mut values).unwrap();
                    sums.push(values);
                }
                sums
            });
            assert!(sums.iter().all(|of_rank| *of_rank == sums[0]), "{ranks}");
            for at in 0..40 {
                let steps = sums[0].iter().map(|values| f64::from(values[at]));
                let mean = steps.sum::<f64>() / STEPS as f64;
                let error = (mean - f64::from(expected[at])).abs();
                // Of numbers up to 1000 a rank, bf16 loses up to 2, and of their sums 8.
                assert!(error <= 0.5, "{ranks} ranks, {at}: {mean} {}", expected[at]);
                let first = (sums[0][0][at] - expected[at]).abs();
                assert!(first <= 8.0 * ranks as f32, "{first}");
                if (10..20).contains(&at) {
                    assert_eq!(sums[0][0][at], expected[at]);
                }
            }
        }
    }

    /// Rank 0 waits for rank 2, which waits for rank 3, and says so first. Of 17 ranks the last one is a
    /// guest.
    #[test]
    fn who_is_silent_is_named_first() {
        for last in [3, 16] {
            let mut ranks = thread_ranks(last + 1);
            let silent = ranks.pop();
            let first = Mutex::new(None);
            std::thread::scope(|scope| {
                for rank in ranks {
                    let first = &first;
                    scope.spawn(move || {
                        let mut rank = rank.with_patience(Duration::from_millis(500));
                        let mut exchange = Exchange::new(Wire::F32, Vec::new());
                        let error = exchange.sum(&mut rank, &mut [1.0; 8]).unwrap_err();
                        first.lock().unwrap().get_or_insert(error.to_string());
                    });
                }
            });
            let error = first.into_inner().unwrap().unwrap();
            let expected = format!("rank {last} has sent nothing");
            assert!(error.contains(&expected), "{error}");
            drop(silent);
        }
    }

    #[test]
    fn other_lengths_are_an_error() {
        let outcomes = on_ranks(2, |rank| {
            let mut values = vec![0.0; 4 + 4 * rank.rank()];
            Exchange::new(Wire::F32, Vec::new()).sum(rank, &mut values)
        });
        assert!(outcomes.iter().all(Result::is_err));
    }
}
