//! What all ranks do together, over messages. Every rank makes the same calls in the same order.

use super::Communicator;
use crate::error::TrainError;

/// Gives every rank the bytes of rank 0, along a binary tree: rank r passes them on to r + 1, r + 2,
/// r + 4 and so on, as far as these are not reached before.
///
/// # Errors
/// If a rank cannot be reached.
pub fn broadcast(
    communicator: &mut dyn Communicator,
    bytes: &mut Vec<u8>,
) -> Result<(), TrainError> {
    let (rank, ranks) = (communicator.rank(), communicator.ranks());
    // The lowest bit of a rank is its distance to the one it hears from.
    let distance = match rank {
        0 => ranks.next_power_of_two(),
        _ => 1 << rank.trailing_zeros(),
    };
    if rank > 0 {
        *bytes = one(communicator.exchange(&[], &[rank - distance])?)?;
    }
    let distances = std::iter::successors(Some(distance / 2), |distance| Some(distance / 2));
    let listeners = distances.take_while(|distance| *distance > 0);
    for listener in listeners.map(|distance| rank + distance) {
        if listener < ranks {
            communicator.exchange(&[(listener, bytes)], &[])?;
        }
    }
    Ok(())
}

/// The bytes of all ranks, on every rank, in `log2 N` messages from each: those that a rank has of
/// itself and the next ones, it gives to the rank as far before it.
///
/// # Errors
/// If a rank cannot be reached.
pub fn gather(
    communicator: &mut dyn Communicator,
    bytes: Vec<u8>,
) -> Result<Vec<Vec<u8>>, TrainError> {
    let (rank, ranks) = (communicator.rank(), communicator.ranks());
    let mut all = vec![bytes];
    for round in 0.. {
        let distance = all.len();
        if distance >= ranks {
            break;
        }
        let count = distance.min(ranks - distance);
        let message = in_one(all.iter().take(count));
        communicator.post((rank + ranks - distance) % ranks, message)?;
        let message = communicator.wait((rank + distance) % ranks, round)?;
        let before = all.len();
        apart(&message, &mut all)?;
        TrainError::check_length("ranks of a message", count, all.len() - before)?;
    }
    // The first is of this rank.
    all.rotate_right(rank);
    Ok(all)
}

/// A message of several, each behind its length.
fn in_one<'a>(several: impl Iterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let mut message = Vec::new();
    for bytes in several {
        message.extend((bytes.len() as u64).to_le_bytes());
        message.extend(bytes);
    }
    message
}

/// Takes such a message apart.
fn apart(mut message: &[u8], several: &mut Vec<Vec<u8>>) -> Result<(), TrainError> {
    while let Some((length, rest)) = message.split_first_chunk() {
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((bytes, rest)) = rest.split_at_checked(length) else {
            return TrainError::check_length("a message's bytes", length, rest.len());
        };
        several.push(bytes.to_vec());
        message = rest;
    }
    TrainError::check_length("bytes behind a message", 0, message.len())
}

/// The bytes of all ranks, on rank 0.
///
/// # Errors
/// If a rank cannot be reached.
pub fn gather_on_first(
    communicator: &mut dyn Communicator,
    bytes: Vec<u8>,
) -> Result<Option<Vec<Vec<u8>>>, TrainError> {
    if communicator.rank() > 0 {
        communicator.exchange(&[(0, &bytes)], &[])?;
        return Ok(None);
    }
    let others = others(communicator);
    let mut all = communicator.exchange(&[], &others)?;
    all.insert(0, bytes);
    Ok(Some(all))
}

fn others(communicator: &dyn Communicator) -> Vec<usize> {
    let rank = communicator.rank();
    let ranks = 0..communicator.ranks();
    ranks.filter(|other| *other != rank).collect()
}

fn one(messages: Vec<Vec<u8>>) -> Result<Vec<u8>, TrainError> {
    TrainError::check_length("messages", 1, messages.len())?;
    Ok(messages.into_iter().next().unwrap_or_default())
}

/// Writes the values of a message, which must be as many as there is room for.
pub(crate) fn write(bytes: &[u8], values: &mut [f32]) -> Result<(), TrainError> {
    TrainError::check_length("a message's bytes", 4 * values.len(), bytes.len())?;
    let (chunks, _) = bytes.as_chunks::<4>();
    for (value, chunk) in values.iter_mut().zip(chunks) {
        *value = f32::from_le_bytes(*chunk);
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::thread_ranks;
    use super::*;

    /// What each of some ranks, which run at the same time, returns.
    pub(in super::super) fn on_ranks<T: Send>(
        ranks: usize,
        run: impl Fn(&mut dyn Communicator) -> T + Sync,
    ) -> Vec<T> {
        std::thread::scope(|scope| {
            let run = &run;
            let start = |mut rank| scope.spawn(move || run(&mut rank));
            let threads: Vec<_> = thread_ranks(ranks).into_iter().map(start).collect();
            let threads = threads.into_iter();
            threads.map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn everybody_hears_the_first_rank() {
        for ranks in 1..10 {
            let heard = on_ranks(ranks, |rank| {
                let mut bytes = vec![rank.rank() as u8; 3];
                broadcast(rank, &mut bytes).unwrap();
                bytes
            });
            assert_eq!(heard, vec![[0; 3]; ranks]);
        }
    }

    #[test]
    fn everybody_hears_everybody() {
        for ranks in (1..10).chain([130]) {
            let expected: Vec<Vec<u8>> = (0..ranks).map(|rank| vec![rank as u8; rank]).collect();
            let heard = on_ranks(ranks, |rank| {
                let bytes = vec![rank.rank() as u8; rank.rank()];
                let first = gather_on_first(rank, bytes.clone()).unwrap();
                assert_eq!(first.is_some(), rank.rank() == 0);
                let all = gather(rank, bytes).unwrap();
                assert!(first.is_none_or(|first| first == all));
                all
            });
            assert!(heard.iter().all(|heard| *heard == expected));
        }
    }

    #[test]
    fn broken_messages_are_errors() {
        let whole = in_one([vec![1, 2], vec![], vec![3]].iter());
        for length in 0..=whole.len() {
            let (mut found, is_whole) = (Vec::new(), [0, 10, 18, 27].contains(&length));
            assert_eq!(apart(&whole[..length], &mut found).is_ok(), is_whole);
        }
    }
}
