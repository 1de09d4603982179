//! Average pooling and its gradient, one row of a map at a time.

use super::{Output, for_each_task};
use crate::error::{KernelError, check_length};
use crate::geometry::ConvSize;
use crate::simd::elementwise::{AddScaled, add_scaled};
use crate::simd::pool::{Mean, mean};
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Averages each window. Padding does not count as a value.
pub(crate) fn average(
    input: &[f32],
    size: &ConvSize,
    channels: usize,
    output: Output<'_>,
) -> Result<(), KernelError> {
    check(size, channels)?;
    check_length("input", input.len(), &[size.input_len(channels)?])?;
    check_length("output", output.len, &[size.output_len(channels)?])?;
    let isa = Isa::current()?;
    for_each_task(size.output_rows(), 0, |row, _| {
        dispatch(
            isa,
            Forward {
                input,
                size,
                channels,
                row,
                output,
            },
        );
    });
    Ok(())
}

/// The gradient of the input. Each pixel sums its share of every window that contains it.
pub(crate) fn average_gradient(
    size: &ConvSize,
    channels: usize,
    gradient: &[f32],
    output: Output<'_>,
) -> Result<(), KernelError> {
    check(size, channels)?;
    check_length(
        "output gradient",
        gradient.len(),
        &[size.output_len(channels)?],
    )?;
    check_length("input gradient", output.len, &[size.input_len(channels)?])?;
    let isa = Isa::current()?;
    for_each_task(size.batch * size.rows.input, 0, |row, _| {
        dispatch(
            isa,
            Backward {
                gradient,
                size,
                channels,
                row,
                output,
            },
        );
    });
    Ok(())
}

fn check(size: &ConvSize, channels: usize) -> Result<(), KernelError> {
    match [channels, size.rows.input, size.columns.input].contains(&0) {
        true => Err(KernelError::Zero {
            what: "channels or pixels of the pool",
        }),
        false => Ok(()),
    }
}

/// One output row, numbered through all images.
struct Forward<'a> {
    input: &'a [f32],
    size: &'a ConvSize,
    channels: usize,
    row: usize,
    output: Output<'a>,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (size, channels) = (self.size, self.channels);
        let [rows, columns] = [&size.rows, &size.columns];
        let (image, y) = (self.row / rows.output, self.row % rows.output);
        let taps_y = rows.taps(y);
        for x in 0..columns.output {
            let taps_x = columns.taps(x);
            // A window that covers only padding has no first tap.
            let first = match taps_y.is_empty() || taps_x.is_empty() {
                true => 0,
                false => {
                    let y = image * rows.input + rows.under(y, taps_y.start);
                    (y * columns.input + columns.under(x, taps_x.start)) * channels
                }
            };
            let window = Mean {
                input: self.input[first..].as_ptr(),
                size: [taps_y.len(), taps_x.len()],
                strides: [rows.dilation * columns.input, columns.dilation].map(|n| n * channels),
                channels,
                output: self.output.at((self.row * columns.output + x) * channels),
            };
            // SAFETY: the taps lie in the input; the output row is this task's.
            unsafe { mean(simd, &window) }
        }
    }
}

/// One input row, numbered through all images.
struct Backward<'a> {
    gradient: &'a [f32],
    size: &'a ConvSize,
    channels: usize,
    row: usize,
    output: Output<'a>,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (size, channels) = (self.size, self.channels);
        let [rows, columns] = [&size.rows, &size.columns];
        let (image, y) = (self.row / rows.input, self.row % rows.input);
        for x in 0..columns.input {
            let output = self.output.at((self.row * columns.input + x) * channels);
            // SAFETY: the input row's gradient is this task's.
            unsafe { output.write_bytes(0, channels) }
            for above in rows.readers(y) {
                for beside in columns.readers(x) {
                    let window = rows.taps(above).len() * columns.taps(beside).len();
                    let pixel = (image * rows.output + above) * columns.output + beside;
                    let share = AddScaled {
                        input: self.gradient[pixel * channels..].as_ptr(),
                        factor: 1.0 / window as f32,
                        output,
                        len: channels,
                    };
                    // SAFETY: the window's gradient has all channels, and so has the output.
                    unsafe { add_scaled(simd, &share) }
                }
            }
        }
    }
}
