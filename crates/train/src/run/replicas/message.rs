//! What workers and servers tell each other, as bytes.

use mobilenet_model::little_endian::bytes_of;
use std::ops::Range;

use crate::error::TrainError;
use crate::parallel::write;

/// What one server holds: a range of all parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) range: Range<usize>,
    /// The running statistics among them, counted from the start of the slice.
    pub(super) statistics: Vec<Range<usize>>,
}

/// Equal slices for all servers.
pub(super) fn slices(values: usize, servers: usize, statistics: &[Range<usize>]) -> Vec<Slice> {
    let bound = |server: usize| values * server / servers;
    let slice = |server: usize| {
        let range = bound(server)..bound(server + 1);
        let cut = |one: &Range<usize>| {
            one.start.max(range.start)..one.end.min(range.end).max(range.start)
        };
        let parts = statistics
            .iter()
            .map(cut)
            .filter(|part| part.start < part.end);
        let statistics = parts.map(|part| part.start - range.start..part.end - range.start);
        Slice {
            statistics: statistics.collect(),
            range,
        }
    };
    (0..servers).map(slice).collect()
}

impl Slice {
    /// The running statistics of a slice's values.
    pub(super) fn statistics_of(&self, values: &[f32]) -> Vec<f32> {
        let ranges = self.statistics.iter();
        let values = ranges.filter_map(|range| values.get(range.clone()));
        values.flatten().copied().collect()
    }
}

/// A worker's message to a server, or that of the first server to another.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ToServer {
    /// Asks for weights, once the server has done so many steps.
    Pull { at_least: u64, stop: bool },
    /// What a batch contributes.
    Push(Push),
    /// Asks for the state, once the server has got so many pushes.
    State { pushes: u64 },
    /// The end.
    Quit,
}

/// What a batch contributes to a slice.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Push {
    /// Steps that the server had done when its weights were pulled.
    pub(super) at: u64,
    /// Loss of the batch.
    pub(super) loss: f64,
    /// Gradients and, in their places, running statistics after the batch.
    pub(super) values: Vec<f32>,
    /// The running statistics that were pulled.
    pub(super) pulled: Vec<f32>,
}

const PULL: u8 = 0;
const PUSH: u8 = 1;
const STATE: u8 = 2;
const QUIT: u8 = 3;

/// Bytes before the values of a message: its kind, and two numbers.
const HEAD: usize = 17;

fn head(kind: u8, first: u64, second: u64) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(first.to_le_bytes());
    bytes.extend(second.to_le_bytes());
    bytes
}

fn parts(bytes: &[u8]) -> Result<(u8, u64, u64, &[u8]), TrainError> {
    let wrong = || TrainError::message("it is too short");
    let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or_else(wrong)?;
    let [kind, numbers @ ..] = head;
    let (numbers, _) = numbers.as_chunks::<8>();
    match numbers {
        [first, second] => Ok((
            *kind,
            u64::from_le_bytes(*first),
            u64::from_le_bytes(*second),
            rest,
        )),
        _ => Err(wrong()),
    }
}

impl ToServer {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Pull { at_least, stop } => head(PULL, *at_least, u64::from(*stop)),
            Self::Push(push) => {
                let mut bytes = head(PUSH, push.at, push.loss.to_bits());
                bytes.extend(bytes_of(&push.values));
                bytes.extend(bytes_of(&push.pulled));
                bytes
            }
            Self::State { pushes } => head(STATE, *pushes, 0),
            Self::Quit => head(QUIT, 0, 0),
        }
    }

    /// Reads a message about a slice.
    pub(super) fn of_bytes(bytes: &[u8], slice: &Slice) -> Result<Self, TrainError> {
        let (kind, first, second, rest) = parts(bytes)?;
        match kind {
            PULL => Ok(Self::Pull {
                at_least: first,
                stop: second == 1,
            }),
            PUSH => {
                let statistics = slice.statistics.iter().map(Range::len).sum();
                let mut values = vec![0.0; slice.range.len()];
                let mut pulled = vec![0.0; statistics];
                let middle = (4 * values.len()).min(rest.len());
                let (of_values, of_pulled) = rest.split_at(middle);
                write(of_values, &mut values)?;
                write(of_pulled, &mut pulled)?;
                Ok(Self::Push(Push {
                    at: first,
                    loss: f64::from_bits(second),
                    values,
                    pulled,
                }))
            }
            STATE => Ok(Self::State { pushes: first }),
            QUIT => Ok(Self::Quit),
            _ => Err(TrainError::message(format!("its kind is {kind}"))),
        }
    }
}

/// A server's answer to a pull: the steps it has done, and its weights. Nothing if there is no more
/// to do.
pub(super) fn weights(steps: u64, weights: &[f32]) -> Vec<u8> {
    let mut bytes = head(PULL, steps, 0);
    bytes.extend(bytes_of(weights));
    bytes
}

/// Reads an answer, and returns the server's steps. `None` if there is no more to do.
pub(super) fn read_weights(bytes: &[u8], to: &mut [f32]) -> Result<Option<u64>, TrainError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (_, steps, _, rest) = parts(bytes)?;
    write(rest, to)?;
    Ok(Some(steps))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_cut_with_the_slices() {
        let all = slices(10, 3, &[2..5, 7..8]);
        let ranges: Vec<_> = all.iter().map(|slice| slice.range.clone()).collect();
        assert_eq!(ranges, [0..3, 3..6, 6..10]);
        let statistics = all.iter().flat_map(|slice| slice.statistics.clone());
        assert_eq!(statistics.collect::<Vec<_>>(), [2..3, 0..2, 1..2]);
        assert_eq!(all[1].statistics_of(&[1.0, 2.0, 3.0]), [1.0, 2.0]);
    }

    #[test]
    fn messages_are_read_as_they_were_written() {
        let slice = slices(4, 1, std::slice::from_ref(&(1..3))).remove(0);
        let push = Push {
            at: 7,
            loss: f64::INFINITY,
            values: vec![1.0, -2.0, 3.5, 0.1],
            pulled: vec![4.0, 5.0],
        };
        for message in [
            ToServer::Pull {
                at_least: 3,
                stop: true,
            },
            ToServer::Push(push.clone()),
            ToServer::State { pushes: 9 },
            ToServer::Quit,
        ] {
            let bytes = message.to_bytes();
            assert_eq!(ToServer::of_bytes(&bytes, &slice).unwrap(), message);
        }
        let bytes = ToServer::Push(push).to_bytes();
        for length in 0..bytes.len() {
            assert!(ToServer::of_bytes(&bytes[..length], &slice).is_err());
        }
        assert!(ToServer::of_bytes(&[9; 17], &slice).is_err());
    }
}
