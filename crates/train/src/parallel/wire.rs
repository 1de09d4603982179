//! How values travel between ranks: as f32, or rounded to bf16, which halves the bytes.

use std::ops::Range;

use serde::{Deserialize, Serialize};

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

    /// The message of a range, which is rounded already, in the memory of an earlier one.
    pub(super) fn message(
        &self,
        values: &[f32],
        range: Range<usize>,
        mut memory: Vec<u8>,
    ) -> Vec<u8> {
        let parts = self.parts(range);
        memory.resize(parts.iter().map(size).sum(), 0);
        let mut rest = memory.as_mut_slice();
        for part in parts {
            let (bytes, others) = rest.split_at_mut(size(&part));
            rest = others;
            let (range, rounds) = part;
            if rounds {
                for (half, value) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(&values[range]) {
                    *half = ((value.to_bits() >> 16) as u16).to_le_bytes();
                }
            } else {
                for (bytes, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(&values[range]) {
                    *bytes = value.to_le_bytes();
                }
            }
        }
        memory
    }

    /// Writes the values of a range's message to a vector.
    pub(super) fn write(
        &self,
        bytes: &[u8],
        values: &mut [f32],
        range: Range<usize>,
    ) -> Result<(), TrainError> {
        self.take(bytes, values, range, |value, new| *value = new)
    }

    /// Adds the values of a range's message to a vector.
    pub(super) fn add(
        &self,
        bytes: &[u8],
        values: &mut [f32],
        range: Range<usize>,
    ) -> Result<(), TrainError> {
        self.take(bytes, values, range, |value, new| *value += new)
    }

    fn take(
        &self,
        bytes: &[u8],
        values: &mut [f32],
        range: Range<usize>,
        take: impl Fn(&mut f32, f32),
    ) -> Result<(), TrainError> {
        let parts = self.parts(range);
        let expected = parts.iter().map(size).sum();
        TrainError::check_length("a message's bytes", expected, bytes.len())?;
        let mut rest = bytes;
        for part in parts {
            let (bytes, others) = rest.split_at(size(&part));
            rest = others;
            let (range, rounds) = part;
            let values = values[range].iter_mut();
            if rounds {
                for (value, half) in values.zip(bytes.as_chunks::<2>().0) {
                    let bits = u32::from(u16::from_le_bytes(*half)) << 16;
                    take(value, f32::from_bits(bits));
                }
            } else {
                for (value, bytes) in values.zip(bytes.as_chunks::<4>().0) {
                    take(value, f32::from_le_bytes(*bytes));
                }
            }
        }
        Ok(())
    }
}

/// Bytes of a part, by whether it is rounded.
fn size((part, rounds): &(Range<usize>, bool)) -> usize {
    part.len() * if *rounds { 2 } else { 4 }
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
                    let message = encoding.message(&sent, start..end, vec![1; 7]);
                    let mut found = vec![0.0; 10];
                    encoding.write(&message, &mut found, start..end).unwrap();
                    assert_eq!(found[start..end], sent[start..end]);
                    encoding.add(&message, &mut found, start..end).unwrap();
                    assert!((start..end).all(|at| found[at] == 2.0 * sent[at]));
                    for at in start..end {
                        let is_exact = exact.iter().any(|exact| exact.contains(&at));
                        let rounds = wire == Wire::Bf16 && !is_exact;
                        assert_eq!(sent[at] != values[at], rounds && at > 0, "{at}");
                        assert_eq!(sent[at] + lost[at], values[at]);
                    }
                    assert!(encoding.write(&[0; 41], &mut found, start..end).is_err());
                    encoding.restore(&mut sent, &lost, start..end);
                    assert_eq!(sent, values);
                }
            }
        }
    }
}
