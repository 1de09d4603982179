//! Which inputs and outputs of a convolution's axis belong together, as lists: the forward pass
//! asks what an output reads, the gradient asks who reads an input, and both then sum over pairs.

use crate::geometry::Axis;

/// A tap, and what stands at its other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connection {
    /// The tap.
    pub(crate) tap: usize,
    /// Index of the input that an output reads, or of the output that reads an input.
    pub(crate) at: usize,
}

/// The connections of every index along an axis, by ascending tap.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    ends: Vec<usize>,
    all: Vec<Connection>,
}

impl Connections {
    /// For every output the inputs that it reads.
    pub(crate) fn of_outputs(axis: &Axis) -> Self {
        Self::new(axis.output, |output| {
            axis.taps(output).map(move |tap| Connection {
                tap,
                at: axis.under(output, tap),
            })
        })
    }

    /// For every input the outputs that read it.
    pub(crate) fn of_inputs(axis: &Axis) -> Self {
        Self::new(axis.input, |input| {
            (0..axis.kernel).filter_map(move |tap| {
                let start = (input + axis.before).checked_sub(tap * axis.dilation)?;
                let at = start / axis.stride;
                (start % axis.stride == 0 && at < axis.output).then_some(Connection { tap, at })
            })
        })
    }

    fn new<I: Iterator<Item = Connection>>(count: usize, of: impl Fn(usize) -> I) -> Self {
        let (mut ends, mut all) = (Vec::with_capacity(count), Vec::new());
        for index in 0..count {
            all.extend(of(index));
            ends.push(all.len());
        }
        Self { ends, all }
    }

    /// Those of one index.
    #[inline]
    pub(crate) fn of(&self, index: usize) -> &[Connection] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.all[start..self.ends[index]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{ConvGeometry, Padding};

    #[test]
    fn both_directions_hold_the_same_pairs() {
        for padding in [Padding::Same, Padding::symmetric(3), Padding::VALID] {
            for (kernel, stride, dilation, input) in
                [(3, 1, 1, 5), (3, 2, 1, 8), (2, 3, 3, 9), (5, 2, 2, 11)]
            {
                let geometry = ConvGeometry {
                    kernel: [kernel, kernel],
                    stride,
                    dilation,
                    padding,
                };
                let axis = geometry.resolve(1, input, input).unwrap().rows;
                let pairs = |connections: &Connections, count: usize| {
                    (0..count)
                        .flat_map(|index| {
                            let of = connections.of(index).iter();
                            of.map(move |c| (index, c.tap, c.at)).collect::<Vec<_>>()
                        })
                        .collect::<Vec<_>>()
                };
                let forward = pairs(&Connections::of_outputs(&axis), axis.output);
                let mut backward = pairs(&Connections::of_inputs(&axis), axis.input);
                for pair in &mut backward {
                    *pair = (pair.2, pair.1, pair.0);
                }
                backward.sort_unstable();
                assert!(!forward.is_empty());
                assert_eq!(forward, backward);
            }
        }
    }
}
