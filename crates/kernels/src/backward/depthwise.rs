//! Gradients of the depthwise convolution.
//!
//! ```text
//! dX[input, c]       = sum over outputs and taps that read the input, and j < m, of
//!                      g[output, c*m + j] * weights[tap, c*m + j]
//! dW[tap, c*m + j]   = sum over outputs of  g[output, c*m + j] * input[under the tap, c]
//! ```

use std::ops::Range;

use rayon::prelude::*;

use super::parts::sum_of_parts;
use crate::connections::{Connection, Connections};
use crate::depthwise::{Row, check_channels};
use crate::error::{KernelError, check_length};
use crate::geometry::ConvSize;
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Channels that are summed at once, in registers.
const BLOCK: usize = 16;

/// The gradient of the input, `[batch, height, width, channels]`; other shapes as in
/// [`fn@crate::depthwise::depthwise`].
///
/// # Errors
/// Where a slice has not the length of its shape.
pub fn input_gradient(
    weights: &[f32],
    size: &ConvSize,
    channels: usize,
    multiplier: usize,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    let out_channels = check_channels(weights, size, channels, multiplier)?;
    let (inputs, outputs) = (size.input_len(channels)?, size.output_len(out_channels)?);
    check_length("output gradient", output_gradient.len(), &[outputs])?;
    check_length("input gradient", input_gradient.len(), &[inputs])?;
    let isa = Isa::current()?;
    let rows = Connections::of_inputs(&size.rows);
    let columns = Connections::of_inputs(&size.columns);
    let map_len = size.rows.output * size.columns.output * out_channels;
    input_gradient
        .par_chunks_mut(size.columns.input * channels)
        .enumerate()
        .for_each(|(row, output)| {
            let (image, y) = (row / size.rows.input, row % size.rows.input);
            let row = Row {
                map: &output_gradient[image * map_len..][..map_len],
                width: size.columns.output,
                weights,
                kernel_columns: size.columns.kernel,
                rows: rows.of(y),
                columns: &columns,
                channels,
                output,
            };
            if multiplier == 1 {
                dispatch(isa, row);
            } else {
                dispatch(isa, MultipliedRow { row, multiplier });
            }
        });
    Ok(())
}

/// One row of input gradients where each channel has several filters.
struct MultipliedRow<'a> {
    row: Row<'a>,
    multiplier: usize,
}

impl Kernel for MultipliedRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { row, multiplier } = self;
        let out_channels = row.channels * multiplier;
        for (x, pixel) in row.output.chunks_exact_mut(row.channels).enumerate() {
            pixel.fill(0.0);
            for above in row.rows {
                for beside in row.columns.of(x) {
                    let gradients = &row.map[(above.at * row.width + beside.at) * out_channels..];
                    let tap = above.tap * row.kernel_columns + beside.tap;
                    let weights = &row.weights[tap * out_channels..][..out_channels];
                    for ((sum, gradients), weights) in pixel
                        .iter_mut()
                        .zip(gradients.chunks_exact(multiplier))
                        .zip(weights.chunks_exact(multiplier))
                    {
                        for (gradient, weight) in gradients.iter().zip(weights) {
                            *sum += gradient * weight;
                        }
                    }
                }
            }
        }
    }
}

/// The gradient of the weights, `[kernel rows, kernel columns, channels * multiplier]`; other
/// shapes as in [`fn@crate::depthwise::depthwise`].
///
/// # Errors
/// Where a slice has not the length of its shape.
pub fn weight_gradient(
    input: &[f32],
    size: &ConvSize,
    channels: usize,
    multiplier: usize,
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) -> Result<(), KernelError> {
    let out_channels = check_channels(weight_gradient, size, channels, multiplier)?;
    let (inputs, outputs) = (size.input_len(channels)?, size.output_len(out_channels)?);
    check_length("input", input.len(), &[inputs])?;
    check_length("output gradient", output_gradient.len(), &[outputs])?;
    let isa = Isa::current()?;
    let rows = Connections::of_outputs(&size.rows);
    let sums = sum_of_parts(size.output_rows(), weight_gradient.len(), |range, sums| {
        let work = WeightRows {
            input,
            output_gradient,
            size,
            rows: &rows,
            range,
            multiplier,
            channels,
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
    range: Range<usize>,
    multiplier: usize,
    channels: usize,
    sums: &'a mut [f32],
}

impl Kernel for WeightRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (size, channels) = (self.size, self.channels);
        let out_channels = channels * self.multiplier;
        let (in_row, out_row) = (
            size.columns.input * channels,
            size.columns.output * out_channels,
        );
        for row in self.range {
            let (image, y) = (row / size.rows.output, row % size.rows.output);
            let gradient = &self.output_gradient[row * out_row..][..out_row];
            for &Connection { tap, at } in self.rows.of(y) {
                let input = &self.input[(image * size.rows.input + at) * in_row..][..in_row];
                let first = tap * size.columns.kernel * out_channels;
                let sums = &mut self.sums[first..][..size.columns.kernel * out_channels];
                for (kx, sums) in sums.chunks_exact_mut(out_channels).enumerate() {
                    if self.multiplier == 1 {
                        add_single(input, gradient, size, kx, sums);
                    } else {
                        add_multiplied(input, gradient, size, kx, self.multiplier, sums);
                    }
                }
            }
        }
    }
}

/// Adds `gradient * input` of one row under column `kx` of the kernel, one filter a channel.
#[inline(always)]
fn add_single(input: &[f32], gradient: &[f32], size: &ConvSize, kx: usize, sums: &mut [f32]) {
    let channels = sums.len();
    let outputs = size.columns.outputs(kx);
    for (block, sums) in sums.chunks_mut(BLOCK).enumerate() {
        let place = |x: usize| {
            let source = size.columns.under(x, kx);
            let first = block * BLOCK;
            (source * channels + first, x * channels + first)
        };
        let length = sums.len();
        // Two sums of each channel: one chain of additions would wait for itself.
        let mut chains = [[0.0f32; BLOCK]; 2];
        for x in outputs.clone() {
            let (source, target) = place(x);
            let (values, gradients) = (&input[source..][..length], &gradient[target..][..length]);
            let chain = &mut chains[x % 2];
            // A full block has a length known to the compiler, which makes it vectors.
            if let (Some(values), Some(gradients)) = (
                values.first_chunk::<BLOCK>(),
                gradients.first_chunk::<BLOCK>(),
            ) {
                for i in 0..BLOCK {
                    chain[i] += values[i] * gradients[i];
                }
            } else {
                for ((sum, value), gradient) in chain.iter_mut().zip(values).zip(gradients) {
                    *sum += value * gradient;
                }
            }
        }
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum += chains[0][i] + chains[1][i];
        }
    }
}

/// The same for `multiplier` filters a channel.
#[inline(always)]
fn add_multiplied(
    input: &[f32],
    gradient: &[f32],
    size: &ConvSize,
    kx: usize,
    multiplier: usize,
    sums: &mut [f32],
) {
    let out_channels = sums.len();
    let channels = out_channels / multiplier;
    for x in size.columns.outputs(kx) {
        let values = &input[size.columns.under(x, kx) * channels..][..channels];
        let gradients = &gradient[x * out_channels..][..out_channels];
        for ((sums, value), gradients) in sums
            .chunks_exact_mut(multiplier)
            .zip(values)
            .zip(gradients.chunks_exact(multiplier))
        {
            for (sum, gradient) in sums.iter_mut().zip(gradients) {
                *sum += value * gradient;
            }
        }
    }
}
