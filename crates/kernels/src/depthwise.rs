//! Depthwise convolution on NHWC: every channel has its own filter, so one tap is a multiply-add
//! of neighbouring channels with neighbouring weights.
//!
//! ```text
//! output[b, y, x, c*m + j] = sum over ky, kx of
//!     input[b, y*s + ky*d - top, x*s + kx*d - left, c] * weights[ky, kx, c*m + j],   j < m
//! ```
//!
//! `m` is the channel multiplier (Keras' `depth_multiplier`), 1 in MobileNetV1.

use rayon::prelude::*;

use crate::connections::{Connection, Connections};
use crate::error::{KernelError, check_length};
use crate::geometry::ConvSize;
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Channels that are summed at once: their sums stay in registers over all taps. Where channels
/// are a multiple of the wide block, it shares out finding a tap's place over more of them: the
/// eager network 1.0/224 takes 10.2 ms with it and 11.6 with narrow blocks alone (Zen 5, AVX-512).
const NARROW: usize = 16;
const WIDE: usize = 64;

/// Convolves `input` `[batch, height, width, channels]` with `weights`
/// `[kernel rows, kernel columns, channels * multiplier]` into `output`
/// `[batch, output rows, output columns, channels * multiplier]`.
///
/// # Errors
/// Where a slice has not the length of its shape.
pub fn depthwise(
    input: &[f32],
    weights: &[f32],
    size: &ConvSize,
    channels: usize,
    multiplier: usize,
    output: &mut [f32],
) -> Result<(), KernelError> {
    let out_channels = check_channels(weights, size, channels, multiplier)?;
    check_length("input", input.len(), &[size.input_len(channels)?])?;
    check_length("output", output.len(), &[size.output_len(out_channels)?])?;
    let isa = Isa::current()?;
    let rows = Connections::of_outputs(&size.rows);
    let columns = Connections::of_outputs(&size.columns);
    let map_len = size.rows.input * size.columns.input * channels;
    output
        .par_chunks_mut(size.columns.output * out_channels)
        .enumerate()
        .for_each(|(row, output)| {
            let (image, y) = (row / size.rows.output, row % size.rows.output);
            let row = Row {
                map: &input[image * map_len..][..map_len],
                width: size.columns.input,
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

/// Checks channels and weights; gives the number of output channels.
pub(crate) fn check_channels(
    weights: &[f32],
    size: &ConvSize,
    channels: usize,
    multiplier: usize,
) -> Result<usize, KernelError> {
    if channels == 0 || multiplier == 0 {
        return Err(KernelError::Zero { what: "channels" });
    }
    let out_channels = channels
        .checked_mul(multiplier)
        .ok_or(KernelError::Overflow { what: "channels" })?;
    check_length(
        "weights",
        weights.len(),
        &[size.rows.kernel, size.columns.kernel, out_channels],
    )?;
    Ok(out_channels)
}

/// One row of sums over the taps that touch each pixel: outputs in the forward pass, gradients of
/// inputs in the backward one. Written in portable Rust, compiled for every instruction set.
pub(crate) struct Row<'a> {
    /// What is read: the image, or the gradient of the output map.
    pub(crate) map: &'a [f32],
    /// Columns of `map`.
    pub(crate) width: usize,
    pub(crate) weights: &'a [f32],
    pub(crate) kernel_columns: usize,
    /// Rows of `map` that touch the row.
    pub(crate) rows: &'a [Connection],
    /// Columns of `map` that touch each pixel of the row.
    pub(crate) columns: &'a Connections,
    /// Channels of an input pixel.
    pub(crate) channels: usize,
    pub(crate) output: &'a mut [f32],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        if self.channels.is_multiple_of(WIDE) {
            self.blocks::<WIDE>();
        } else {
            self.blocks::<NARROW>();
        }
    }
}

impl Row<'_> {
    #[inline(always)]
    fn blocks<const BLOCK: usize>(self) {
        let channels = self.channels;
        for (x, pixel) in self.output.chunks_exact_mut(channels).enumerate() {
            let columns = self.columns.of(x);
            for (block, output) in pixel.chunks_mut(BLOCK).enumerate() {
                let first = block * BLOCK;
                let mut sums = [0.0f32; BLOCK];
                for row in self.rows {
                    for column in columns {
                        let at = (row.at * self.width + column.at) * channels + first;
                        let values = &self.map[at..][..output.len()];
                        let tap = row.tap * self.kernel_columns + column.tap;
                        let weights = &self.weights[tap * channels + first..][..output.len()];
                        // A full block has a length known to the compiler, which makes it vectors.
                        if let (Some(values), Some(weights)) = (
                            values.first_chunk::<BLOCK>(),
                            weights.first_chunk::<BLOCK>(),
                        ) {
                            for i in 0..BLOCK {
                                sums[i] += values[i] * weights[i];
                            }
                        } else {
                            for ((sum, value), weight) in sums.iter_mut().zip(values).zip(weights) {
                                *sum += value * weight;
                            }
                        }
                    }
                }
                store_block(output, &sums);
            }
        }
    }
}

/// Sums of a block, the last of which may be shorter. A full one is stored as vectors, not by a
/// call that copies any number of bytes.
#[inline(always)]
pub(crate) fn store_block<const BLOCK: usize>(output: &mut [f32], sums: &[f32; BLOCK]) {
    match output.first_chunk_mut::<BLOCK>() {
        Some(full) => *full = *sums,
        None => output.copy_from_slice(&sums[..output.len()]),
    }
}

/// One output row where each channel has several filters.
struct MultipliedRow<'a> {
    row: Row<'a>,
    multiplier: usize,
}

impl Kernel for MultipliedRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { row, multiplier } = self;
        let channels = row.channels;
        let out_channels = channels * multiplier;
        for (x, pixel) in row.output.chunks_exact_mut(out_channels).enumerate() {
            pixel.fill(0.0);
            for above in row.rows {
                for beside in row.columns.of(x) {
                    let at = (above.at * row.width + beside.at) * channels;
                    let values = &row.map[at..][..channels];
                    let tap = above.tap * row.kernel_columns + beside.tap;
                    let weights = &row.weights[tap * out_channels..][..out_channels];
                    for ((sums, value), weights) in pixel
                        .chunks_exact_mut(multiplier)
                        .zip(values)
                        .zip(weights.chunks_exact(multiplier))
                    {
                        for (sum, weight) in sums.iter_mut().zip(weights) {
                            *sum += value * weight;
                        }
                    }
                }
            }
        }
    }
}
