//! Which taps of a strided window reach an input pixel.
//!
//! Input `x` is under tap `k` of output `o` where `o * stride = x + before - k * dilation`. With
//! `x = stride * m + remainder` that is
//!
//! ```text
//! o = m + (remainder + before - k * dilation) / stride
//! ```
//!
//! for those taps for which the quotient is an integer. Which taps these are depends on the
//! remainder alone, so all inputs of one remainder form a phase. From one such tap to the next
//! lower one, `o` grows by a constant.

use crate::geometry::{Axis, ConvSize};

/// A phase along one axis: the taps that reach the inputs of one remainder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AxisPhase {
    pub(crate) remainder: usize,
    /// Taps, highest first.
    pub(crate) taps: Vec<usize>,
    /// `o - m` of the first tap.
    pub(crate) shift: isize,
    /// How much `o` grows from one tap to the next.
    pub(crate) tap_stride: usize,
}

/// A phase of both axes.
#[derive(Debug, Clone)]
pub(crate) struct Phase {
    pub(crate) rows: AxisPhase,
    pub(crate) columns: AxisPhase,
    kernel_columns: usize,
    /// Values per channel of the packed weights that precede those of this phase.
    pub(crate) weights: usize,
}

impl Phase {
    /// Number of taps.
    pub(crate) fn count(&self) -> usize {
        self.rows.taps.len() * self.columns.taps.len()
    }

    /// The taps in the order in which the kernel visits them, as indices into the whole window.
    pub(crate) fn taps(&self) -> impl Iterator<Item = usize> {
        let (columns, kernel_columns) = (&self.columns.taps, self.kernel_columns);
        let of_row = move |ky: &usize| {
            let first = ky * kernel_columns;
            columns.iter().map(move |kx| first + kx)
        };
        self.rows.taps.iter().flat_map(of_row)
    }
}

fn axis_phases(axis: &Axis) -> Vec<AxisPhase> {
    let stride = axis.stride as isize;
    (0..axis.stride)
        .map(|remainder| {
            let numerator =
                |k: usize| (remainder + axis.before) as isize - (k * axis.dilation) as isize;
            let taps: Vec<usize> = (0..axis.kernel)
                .rev()
                .filter(|&k| numerator(k) % stride == 0)
                .collect();
            let quotient = |index: usize| taps.get(index).map(|&k| numerator(k) / stride);
            let shift = quotient(0).unwrap_or(0);
            let tap_stride = quotient(1).map_or(0, |next| (next - shift) as usize);
            AxisPhase {
                remainder,
                taps,
                shift,
                tap_stride,
            }
        })
        .collect()
}

/// All phases of a window. Their packed weights are preceded by `weights` values per channel.
pub(crate) fn phases(size: &ConvSize, mut weights: usize) -> Vec<Phase> {
    let columns = axis_phases(&size.columns);
    let pairs = axis_phases(&size.rows).into_iter().flat_map(|rows| {
        columns
            .iter()
            .map(move |columns| (rows.clone(), columns.clone()))
    });
    pairs
        .map(|(rows, columns)| {
            let phase = Phase {
                rows,
                columns,
                kernel_columns: size.columns.kernel,
                weights,
            };
            weights += phase.count() + 1;
            phase
        })
        .collect()
}

/// Number of zeros that the phases of an axis need before and after the outputs.
pub(crate) fn reach(axis: &Axis) -> [usize; 2] {
    let (mut before, mut after) = (0, 0);
    for phase in axis_phases(axis) {
        if phase.taps.is_empty() || phase.remainder >= axis.input {
            continue;
        }
        let last = (axis.input - 1 - phase.remainder) / axis.stride
            + (phase.taps.len() - 1) * phase.tap_stride;
        let end = last as isize + phase.shift;
        before = before.max(-phase.shift);
        after = after.max(end + 1 - axis.output as isize);
    }
    [before.max(0) as usize, after.max(0) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{ConvGeometry, Padding};

    #[test]
    fn phases_find_every_pair_of_input_and_tap() {
        for padding in [Padding::Same, Padding::symmetric(1), Padding::VALID] {
            for (kernel, stride, dilation) in [
                (3, 1, 1),
                (3, 2, 1),
                (3, 1, 4),
                (3, 2, 2),
                (2, 3, 1),
                (1, 2, 1),
                (5, 2, 3),
            ] {
                for input in 1..12 {
                    let geometry = ConvGeometry {
                        kernel: [kernel; 2],
                        stride,
                        dilation,
                        padding,
                    };
                    let Ok(size) = geometry.resolve(1, input, input) else {
                        continue;
                    };
                    let axis = size.rows;
                    let mut expected = Vec::new();
                    for output in 0..axis.output {
                        for tap in 0..kernel {
                            expected.extend(axis.source(output, tap).map(|x| (x, tap, output)));
                        }
                    }
                    expected.sort_unstable();
                    let mut found = Vec::new();
                    let [before, after] = reach(&axis);
                    for phase in axis_phases(&axis) {
                        for x in (phase.remainder..input).step_by(stride) {
                            for (index, &tap) in phase.taps.iter().enumerate() {
                                let output = (x / stride) as isize
                                    + phase.shift
                                    + (index * phase.tap_stride) as isize;
                                assert!(output >= -(before as isize));
                                assert!(output < (axis.output + after) as isize);
                                if (0..axis.output as isize).contains(&output) {
                                    found.push((x, tap, output as usize));
                                }
                            }
                        }
                    }
                    found.sort_unstable();
                    assert_eq!(found, expected, "{geometry:?} on {input}");
                }
            }
        }
    }
}
