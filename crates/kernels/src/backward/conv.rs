//! Gradients of the full convolution.
//!
//! ```text
//! dX[input, i]   = sum over outputs and taps that read the input, and o, of
//!                  g[output, o] * weights[tap, i, o]
//! dW[tap, i, o]  = sum over outputs of  g[output, o] * input[under the tap, i]
//! ```

use std::ops::Range;

use rayon::prelude::*;

use super::parts::sum_of_parts;
use crate::connections::{Connection, Connections};
use crate::error::{KernelError, check_length};
use crate::geometry::ConvSize;
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Products that are summed side by side.
const BLOCK: usize = 16;

fn check(
    weights: &[f32],
    size: &ConvSize,
    in_channels: usize,
    out_channels: usize,
    input: &[f32],
    output_gradient: &[f32],
) -> Result<(), KernelError> {
    if in_channels == 0 || out_channels == 0 {
        return Err(KernelError::Zero { what: "channels" });
    }
    let taps = [size.rows.kernel, size.columns.kernel];
    check_length(
        "weights",
        weights.len(),
        &[taps[0], taps[1], in_channels, out_channels],
    )?;
    let outputs = size.output_len(out_channels)?;
    check_length("input", input.len(), &[size.input_len(in_channels)?])?;
    check_length("output gradient", output_gradient.len(), &[outputs])
}

/// The gradient of the input, `[batch, height, width, in_channels]`; other shapes as in
/// [`fn@crate::conv::conv`].
///
/// # Errors
/// Where a slice has not the length of its shape.
pub fn input_gradient(
    weights: &[f32],
    size: &ConvSize,
    in_channels: usize,
    out_channels: usize,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    check(
        weights,
        size,
        in_channels,
        out_channels,
        input_gradient,
        output_gradient,
    )?;
    let isa = Isa::current()?;
    let rows = Connections::of_inputs(&size.rows);
    let columns = Connections::of_inputs(&size.columns);
    let map_len = size.rows.output * size.columns.output * out_channels;
    input_gradient
        .par_chunks_mut(size.columns.input * in_channels)
        .enumerate()
        .for_each(|(row, output)| {
            let (image, y) = (row / size.rows.input, row % size.rows.input);
            let work = InputRow {
                map: &output_gradient[image * map_len..][..map_len],
                width: size.columns.output,
                weights,
                kernel_columns: size.columns.kernel,
                rows: rows.of(y),
                columns: &columns,
                channels: [in_channels, out_channels],
                output,
            };
            dispatch(isa, work);
        });
    Ok(())
}

/// One row of input gradients.
struct InputRow<'a> {
    map: &'a [f32],
    width: usize,
    weights: &'a [f32],
    kernel_columns: usize,
    rows: &'a [Connection],
    columns: &'a Connections,
    channels: [usize; 2],
    output: &'a mut [f32],
}

impl Kernel for InputRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let [in_channels, out_channels] = self.channels;
        for (x, pixel) in self.output.chunks_exact_mut(in_channels).enumerate() {
            for (i, output) in pixel.iter_mut().enumerate() {
                let mut sums = [0.0f32; BLOCK];
                for row in self.rows {
                    for column in self.columns.of(x) {
                        let at = (row.at * self.width + column.at) * out_channels;
                        let tap = row.tap * self.kernel_columns + column.tap;
                        let weights = (tap * in_channels + i) * out_channels;
                        add_products(
                            &self.map[at..][..out_channels],
                            &self.weights[weights..][..out_channels],
                            &mut sums,
                        );
                    }
                }
                *output = sums.iter().sum();
            }
        }
    }
}

/// Adds product `n` to sum `n % BLOCK`.
#[inline(always)]
fn add_products(a: &[f32], b: &[f32], sums: &mut [f32; BLOCK]) {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<BLOCK>(), b.as_chunks::<BLOCK>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..BLOCK {
            sums[i] += a[i] * b[i];
        }
    }
    for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum += a * b;
    }
}

/// The gradient of the weights, `[kernel rows, kernel columns, in_channels, out_channels]`; other
/// shapes as in [`fn@crate::conv::conv`].
///
/// # Errors
/// Where a slice has not the length of its shape.
pub fn weight_gradient(
    input: &[f32],
    size: &ConvSize,
    in_channels: usize,
    out_channels: usize,
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) -> Result<(), KernelError> {
    check(
        weight_gradient,
        size,
        in_channels,
        out_channels,
        input,
        output_gradient,
    )?;
    let isa = Isa::current()?;
    let rows = Connections::of_outputs(&size.rows);
    let columns = Connections::of_outputs(&size.columns);
    let sums = sum_of_parts(size.output_rows(), weight_gradient.len(), |range, sums| {
        let work = WeightRows {
            input,
            output_gradient,
            size,
            rows: &rows,
            columns: &columns,
            range,
            channels: [in_channels, out_channels],
            sums,
        };
        dispatch(isa, work);
    });
    weight_gradient.copy_from_slice(&sums);
    Ok(())
}

/// What some output rows add to the gradient of the weights.
struct WeightRows<'a> {
    input: &'a [f32],
    output_gradient: &'a [f32],
    size: &'a ConvSize,
    rows: &'a Connections,
    columns: &'a Connections,
    range: Range<usize>,
    channels: [usize; 2],
    sums: &'a mut [f32],
}

impl Kernel for WeightRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (size, [in_channels, out_channels]) = (self.size, self.channels);
        let out_row = size.columns.output * out_channels;
        for row in self.range {
            let (image, y) = (row / size.rows.output, row % size.rows.output);
            let gradients = &self.output_gradient[row * out_row..][..out_row];
            for (x, gradients) in gradients.chunks_exact(out_channels).enumerate() {
                for above in self.rows.of(y) {
                    let source_row = image * size.rows.input + above.at;
                    for beside in self.columns.of(x) {
                        let pixel = (source_row * size.columns.input + beside.at) * in_channels;
                        let values = &self.input[pixel..][..in_channels];
                        let tap = above.tap * size.columns.kernel + beside.tap;
                        let matrix = in_channels * out_channels;
                        let sums = &mut self.sums[tap * matrix..][..matrix];
                        for (sums, value) in sums.chunks_exact_mut(out_channels).zip(values) {
                            for (sum, gradient) in sums.iter_mut().zip(gradients) {
                                *sum += value * gradient;
                            }
                        }
                    }
                }
            }
        }
    }
}
