//! How values travel between ranks: as f32, or rounded to bf16, which halves the bytes.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::collective::{bytes_of, write};
use crate::error::TrainError;

/// The number type of gradients on the way between ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// As they are.
    #[default]
    F32,
    /// Rounded to the upper half of an f32. Sums are of f32. What rounding loses is added to the next
    /// step's gradient. The bits of the result then depend on the number of ranks.
    Bf16,
}

impl Wire {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    pub(crate) fn is_f32(&self) -> bool {
        *self == Self::F32
    }
}

/// Which values of a vector are rounded on the way.
#[derive(Debug, Clone)]
pub(super) struct Encoding {
    wire: Wire,
    /// Values that are never rounded, in order.
    exact: Vec<Range<usize>>,
}

impl Encoding {
    pub(super) fn new(wire: Wire, exact: Vec<Range<usize>>) -> Self {
        Self { wire, exact }
    }

    pub(super) fn rounds(&self) -> bool {
        self.wire == Wire::Bf16
    }

    /// The parts of a range, and whether each is rounded.
    fn parts(&self, range: Range<usize>) -> Vec<(Range<usize>, bool)> {
        if !self.rounds() {
            return vec![(range, false)];
        }
        let (mut parts, mut at) = (Vec::new(), range.start);
        let first = self.exact.partition_point(|exact| exact.end <= range.start);
        for exact in self.exact.get(first..).unwrap_or_default() {
            if exact.start >= range.end {
                break;
            }
            let (start, end) = (exact.start.max(at), exact.end.min(range.end));
            parts.extend([(at..start, true), (start..end, false)]);
            at = end;
        }
        parts.push((at..range.end, true));
        parts.retain(|(part, _)| !part.is_empty());
        parts
    }

    /// Rounds a range, and keeps what is lost.
    pub(super) fn round(&self, values: &mut [f32], lost: &mut [f32], range: Range<usize>) {
        for (part, rounds) in self.parts(range) {
            if rounds {
                let values = values[part.clone()].iter_mut();
                for (value, lost) in values.zip(&mut lost[part]) {
                    let rounded = rounded(*value);
                    let difference = *value - rounded;
                    *lost = if difference.is_finite() {
                        difference
                    } else {
                        0.0
                    };
                    *value = rounded;
                }
            }
        }
    }

    /// Adds what was lost earlier.
    pub(super) fn restore(&self, values: &mut [f32], lost: &[f32], range: Range<usize>) {
        for (part, rounds) in self.parts(range) {
            if rounds {
                let values = values[part.clone()].iter_mut();
                values
                    .zip(&lost[part])
                    .for_each(|(value, lost)| *value += lost);
            }
        }
    }

    /// The message of a range, which is rounded already.
    pub(super) fn message(&self, values: &[f32], range: Range<usize>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 * range.len());
        for (part, rounds) in self.parts(range) {
            match rounds {
                false => bytes.append(&mut bytes_of(&values[part])),
                true => {
                    let start = bytes.len();
                    bytes.resize(start + 2 * part.len(), 0);
                    let (halves, _) = bytes[start..].as_chunks_mut::<2>();
                    for (half, value) in halves.iter_mut().zip(&values[part]) {
                        *half = ((value.to_bits() >> 16) as u16).to_le_bytes();
                    }
                }
            }
        }
        bytes
    }

    /// The values of a message of a range.
    pub(super) fn values(&self, bytes: &[u8], range: Range<usize>) -> Result<Vec<f32>, TrainError> {
        let parts = self.parts(range.clone());
        let size = |(part, rounds): &(Range<usize>, bool)| part.len() * if *rounds { 2 } else { 4 };
        let expected = parts.iter().map(size).sum();
        TrainError::check_length("a message's bytes", expected, bytes.len())?;
        let (mut values, mut rest) = (vec![0.0; range.len()], bytes);
        for part in &parts {
            let (own, others) = rest.split_at(size(part));
            let values = &mut values[part.0.start - range.start..][..part.0.len()];
            rest = others;
            if !part.1 {
                write(own, values)?;
                continue;
            }
            for (value, half) in values.iter_mut().zip(own.as_chunks::<2>().0) {
                *value = f32::from_bits(u32::from(u16::from_le_bytes(*half)) << 16);
            }
        }
        Ok(values)
    }
}

/// The nearest bf16; of two, the even one.
fn rounded(value: f32) -> f32 {
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    // What is not a number must stay so.
    let bits = if value.is_nan() {
        bits | 0x40_0000
    } else {
        nearest
    };
    f32::from_bits(bits & 0xffff_0000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_the_nearest() {
        for (value, expected) in [
            (1.0, 1.0),
            (1.0 + 1.0 / 256.0, 1.0),
            (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
            (-1.0 - 1.1 / 256.0, -1.0 - 2.0 / 256.0),
            (f32::INFINITY, f32::INFINITY),
            (f32::MAX, f32::INFINITY),
            (-0.0, -0.0),
        ] {
            assert_eq!(rounded(value).to_bits(), f32::to_bits(expected), "{value}");
        }
        assert!(rounded(f32::from_bits(0x7f80_0001)).is_nan());
    }

    #[test]
    fn messages_round_all_but_exact_values() {
        let exact = vec![2..4, 4..5, 8..usize::MAX];
        let values: Vec<f32> = (0..10).map(|at| 1.0 + at as f32 / 1000.0).collect();
        for wire in [Wire::F32, Wire::Bf16] {
            let encoding = Encoding::new(wire, exact.clone());
            for start in 0..=10 {
                for end in start..=10 {
                    let (mut sent, mut lost) = (values.clone(), vec![0.0; 10]);
                    encoding.round(&mut sent, &mut lost, start..end);
                    let message = encoding.message(&sent, start..end);
                    let found = encoding.values(&message, start..end).unwrap();
                    assert_eq!(found, sent[start..end]);
                    for at in start..end {
                        let is_exact = exact.iter().any(|exact| exact.contains(&at));
                        let rounds = wire == Wire::Bf16 && !is_exact;
                        assert_eq!(sent[at] != values[at], rounds && at > 0, "{at}");
                        assert_eq!(sent[at] + lost[at], values[at]);
                    }
                    assert!(encoding.values(&[0; 41], start..end).is_err());
                    encoding.restore(&mut sent, &lost, start..end);
                    assert_eq!(sent, values);
                }
            }
        }
    }
}
