//! Windows of a convolution: sizes, strides, dilation and padding of both axes.
//!
//! For each axis, with `span = (kernel - 1) * dilation + 1`:
//!
//! ```text
//! output = (before + input + after - span) / stride + 1
//! tap k of output o reads input  o * stride + k * dilation - before,  zero outside the input
//! ```

use std::ops::Range;

use crate::error::KernelError;

/// How the input's border is padded with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Padding {
    /// TensorFlow's SAME: the output has `ceil(input / stride)` rows and columns. The total padding
    /// is `max((output - 1) * stride + span - input, 0)`. If it is odd, the extra row goes to the
    /// *bottom* and the extra column to the *right*. So a 3x3 kernel with stride 2 on an even input
    /// is padded by 0 before and 1 after. PyTorch's symmetric `padding=1` cannot express this.
    Same,
    /// The given numbers of rows and columns. If all are zero, this is TensorFlow's VALID.
    Explicit {
        /// Rows above the input.
        top: usize,
        /// Rows below the input.
        bottom: usize,
        /// Columns left of the input.
        left: usize,
        /// Columns right of the input.
        right: usize,
    },
}

impl Padding {
    /// No padding.
    pub const VALID: Self = Self::Explicit {
        top: 0,
        bottom: 0,
        left: 0,
        right: 0,
    };

    /// The same number of rows and columns on every side, as PyTorch's `padding=n`.
    pub const fn symmetric(n: usize) -> Self {
        Self::Explicit {
            top: n,
            bottom: n,
            left: n,
            right: n,
        }
    }
}

/// A convolution's window, independent of the size of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvGeometry {
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Distance between the windows of neighbouring outputs, the same for both axes.
    pub stride: usize,
    /// Distance between neighbouring taps, the same for both axes (TensorFlow's `rate`).
    pub dilation: usize,
    /// Zeros around the input.
    pub padding: Padding,
}

/// One axis of a convolution on an input of known size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// Input size.
    pub input: usize,
    /// Output size.
    pub output: usize,
    /// Number of taps.
    pub kernel: usize,
    /// Distance between the windows of neighbouring outputs.
    pub stride: usize,
    /// Distance between neighbouring taps.
    pub dilation: usize,
    /// Zeros before the input.
    pub before: usize,
}

impl Axis {
    /// Input index that tap `tap` of output `output` reads, or `None` if it is padding.
    #[inline]
    pub fn source(&self, output: usize, tap: usize) -> Option<usize> {
        (output * self.stride + tap * self.dilation)
            .checked_sub(self.before)
            .filter(|&index| index < self.input)
    }

    /// Zeros after the input, as far as the last window reaches beyond it.
    pub fn after(&self) -> usize {
        let span = (self.kernel - 1) * self.dilation + 1;
        let reach = (self.output - 1) * self.stride + span;
        reach.saturating_sub(self.before + self.input)
    }

    /// Taps of output `output` that fall inside the input. Empty if all fall on padding.
    #[inline]
    pub fn taps(&self, output: usize) -> Range<usize> {
        let start = output * self.stride;
        let first = self.before.saturating_sub(start).div_ceil(self.dilation);
        let end = (self.before + self.input)
            .saturating_sub(start)
            .div_ceil(self.dilation)
            .min(self.kernel);
        first.min(end)..end
    }

    /// Outputs all of whose taps fall inside the input.
    pub(crate) fn inside(&self) -> Range<usize> {
        let span = (self.kernel - 1) * self.dilation + 1;
        let first = self.before.div_ceil(self.stride);
        let end = match (self.before + self.input).checked_sub(span) {
            Some(last) => (last / self.stride + 1).min(self.output),
            None => 0,
        };
        first.min(end)..end
    }

    /// Outputs that read input `input`. An output is listed once for each of its taps that does.
    pub(crate) fn readers(&self, input: usize) -> impl Iterator<Item = usize> {
        (0..self.kernel).filter_map(move |tap| self.reader(input, tap))
    }

    /// The output whose tap `tap` reads input `input`, if there is one.
    #[inline(always)]
    pub(crate) fn reader(&self, input: usize, tap: usize) -> Option<usize> {
        let start = (input + self.before).checked_sub(tap * self.dilation)?;
        let output = start / self.stride;
        (start % self.stride == 0 && output < self.output).then_some(output)
    }

    /// [`Self::source`] of a tap that is known to fall inside the input.
    #[inline(always)]
    pub(crate) fn under(&self, output: usize, tap: usize) -> usize {
        output * self.stride + tap * self.dilation - self.before
    }
}

/// A convolution's window on a batch of inputs of known size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvSize {
    /// Number of images.
    pub batch: usize,
    /// Rows.
    pub rows: Axis,
    /// Columns.
    pub columns: Axis,
}

impl ConvGeometry {
    /// A 1x1 window.
    pub const POINTWISE: Self = Self {
        kernel: [1, 1],
        stride: 1,
        dilation: 1,
        padding: Padding::VALID,
    };

    /// Whether this is a plain 1x1 convolution, which is a matrix product.
    pub fn is_pointwise(&self) -> bool {
        let unpadded = matches!(self.padding, Padding::Same) || self.padding == Padding::VALID;
        self.kernel == [1, 1] && self.stride == 1 && unpadded
    }

    /// Sizes for a batch of `height` x `width` inputs.
    ///
    /// # Errors
    /// If a size is zero, or the kernel is larger than the padded input.
    pub fn resolve(
        &self,
        batch: usize,
        height: usize,
        width: usize,
    ) -> Result<ConvSize, KernelError> {
        if batch == 0 {
            return Err(KernelError::Zero { what: "batch" });
        }
        let (vertical, horizontal) = match self.padding {
            Padding::Same => (None, None),
            Padding::Explicit {
                top,
                bottom,
                left,
                right,
            } => (Some((top, bottom)), Some((left, right))),
        };
        Ok(ConvSize {
            batch,
            rows: self.axis("rows", height, self.kernel[0], vertical)?,
            columns: self.axis("columns", width, self.kernel[1], horizontal)?,
        })
    }

    fn axis(
        &self,
        name: &'static str,
        input: usize,
        kernel: usize,
        explicit: Option<(usize, usize)>,
    ) -> Result<Axis, KernelError> {
        for (what, size) in [
            ("input size", input),
            ("kernel size", kernel),
            ("stride", self.stride),
            ("dilation", self.dilation),
        ] {
            if size == 0 {
                return Err(KernelError::Zero { what });
            }
        }
        let overflow = KernelError::Overflow {
            what: "padded input",
        };
        let span = (kernel - 1)
            .checked_mul(self.dilation)
            .and_then(|steps| steps.checked_add(1))
            .ok_or_else(|| overflow.clone())?;
        let (before, after) = match explicit {
            Some(sides) => sides,
            None => {
                let output = input.div_ceil(self.stride);
                let needed = ((output - 1) * self.stride)
                    .checked_add(span)
                    .ok_or_else(|| overflow.clone())?;
                let total = needed.saturating_sub(input);
                (total / 2, total - total / 2)
            }
        };
        let padded = before
            .checked_add(input)
            .and_then(|sum| sum.checked_add(after))
            .ok_or(overflow)?;
        if padded < span {
            return Err(KernelError::KernelTooLarge {
                axis: name,
                span,
                input,
                before,
                after,
            });
        }
        Ok(Axis {
            input,
            output: (padded - span) / self.stride + 1,
            kernel,
            stride: self.stride,
            dilation: self.dilation,
            before,
        })
    }
}

impl ConvSize {
    /// Length of an input of `channels` channels.
    pub fn input_len(&self, channels: usize) -> Result<usize, KernelError> {
        crate::error::volume(
            "input",
            &[self.batch, self.rows.input, self.columns.input, channels],
        )
    }

    /// Length of an output of `channels` channels.
    pub fn output_len(&self, channels: usize) -> Result<usize, KernelError> {
        crate::error::volume(
            "output",
            &[self.batch, self.rows.output, self.columns.output, channels],
        )
    }

    /// Number of output rows of all images together.
    pub(crate) fn output_rows(&self) -> usize {
        self.batch * self.rows.output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(kernel: usize, stride: usize, dilation: usize, input: usize) -> (usize, usize, usize) {
        let geometry = ConvGeometry {
            kernel: [kernel, kernel],
            stride,
            dilation,
            padding: Padding::Same,
        };
        let axis = geometry.resolve(1, input, input).unwrap().rows;
        let span = (kernel - 1) * dilation + 1;
        let total = ((axis.output - 1) * stride + span).saturating_sub(input);
        (axis.output, axis.before, total - axis.before)
    }

    #[test]
    fn same_padding_stride_2_pads_only_right_and_bottom_on_even_sizes() {
        assert_eq!(same(3, 2, 1, 224), (112, 0, 1));
        assert_eq!(same(3, 2, 1, 14), (7, 0, 1));
    }

    #[test]
    fn same_padding_stride_2_pads_both_sides_on_odd_sizes() {
        assert_eq!(same(3, 2, 1, 225), (113, 1, 1));
        assert_eq!(same(3, 2, 1, 7), (4, 1, 1));
    }

    #[test]
    fn same_padding_stride_1_pads_by_the_rate() {
        for rate in [1, 2, 4] {
            assert_eq!(same(3, 1, rate, 14), (14, rate, rate));
        }
    }

    #[test]
    fn taps_and_readers_agree_with_source() {
        for padding in [Padding::Same, Padding::symmetric(2), Padding::VALID] {
            for (stride, dilation, input) in [(1, 1, 5), (2, 1, 8), (2, 3, 9), (1, 4, 11)] {
                let geometry = ConvGeometry {
                    kernel: [3, 3],
                    stride,
                    dilation,
                    padding,
                };
                let axis = match geometry.resolve(1, input, input) {
                    Ok(size) => size.rows,
                    Err(error) => {
                        assert!(matches!(error, KernelError::KernelTooLarge { .. }));
                        continue;
                    }
                };
                for output in 0..axis.output {
                    let all = axis.taps(output) == (0..axis.kernel);
                    assert_eq!(axis.inside().contains(&output), all);
                    let inside: Vec<usize> = (0..3)
                        .filter(|&tap| axis.source(output, tap).is_some())
                        .collect();
                    assert_eq!(inside, axis.taps(output).collect::<Vec<_>>());
                }
                for index in 0..input {
                    let pairs = (0..3).flat_map(|tap| (0..axis.output).map(move |o| (o, tap)));
                    let reads =
                        |&(output, tap): &(usize, usize)| axis.source(output, tap) == Some(index);
                    let expected: Vec<usize> = pairs.filter(reads).map(|(o, _)| o).collect();
                    assert_eq!(axis.readers(index).collect::<Vec<_>>(), expected);
                }
            }
        }
    }

    #[test]
    fn impossible_sizes_are_errors() {
        let geometry = ConvGeometry {
            kernel: [3, 3],
            stride: 1,
            dilation: 1,
            padding: Padding::VALID,
        };
        assert!(matches!(
            geometry.resolve(1, 2, 5),
            Err(KernelError::KernelTooLarge { axis: "rows", .. })
        ));
        assert_eq!(
            geometry.resolve(0, 5, 5),
            Err(KernelError::Zero { what: "batch" })
        );
        let huge = ConvGeometry {
            dilation: usize::MAX,
            ..geometry
        };
        assert!(matches!(
            huge.resolve(1, 5, 5),
            Err(KernelError::Overflow { .. })
        ));
    }
}
