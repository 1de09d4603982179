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

use crate::error::{KernelError, check_length};
use crate::geometry::ConvSize;
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Channels that are summed at once: their sums stay in registers over all taps.
const BLOCK: usize = 16;

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
    check_length("input", input.len(), &[size.input_len(channels)?])?;
    check_length("output", output.len(), &[size.output_len(out_channels)?])?;
    let isa = Isa::current()?;
    let image_len = size.rows.input * size.columns.input * channels;
    output
        .par_chunks_mut(size.columns.output * out_channels)
        .enumerate()
        .for_each(|(row, output)| {
            let (image, y) = (row / size.rows.output, row % size.rows.output);
            let image = &input[image * image_len..][..image_len];
            dispatch(
                isa,
                Row {
                    image,
                    weights,
                    size,
                    y,
                    multiplier,
                    output,
                },
            );
        });
    Ok(())
}

/// One output row. Written in portable Rust, compiled for every instruction set.
struct Row<'a> {
    image: &'a [f32],
    weights: &'a [f32],
    size: &'a ConvSize,
    y: usize,
    multiplier: usize,
    output: &'a mut [f32],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self {
            image,
            weights,
            size,
            y,
            multiplier,
            output,
        } = self;
        let out_channels = output.len() / size.columns.output;
        for (x, pixel) in output.chunks_exact_mut(out_channels).enumerate() {
            if multiplier == 1 {
                pixel_of_single(image, weights, size, (y, x), pixel);
            } else {
                pixel_of_multiplied(image, weights, size, (y, x), multiplier, pixel);
            }
        }
    }
}

/// Index of the input pixel under tap (`ky`, `kx`) of output (`y`, `x`). The tap must be one of
/// `Axis::taps`.
#[inline(always)]
fn source(size: &ConvSize, (y, x): (usize, usize), ky: usize, kx: usize) -> usize {
    let source_y = y * size.rows.stride + ky * size.rows.dilation - size.rows.before;
    let source_x = x * size.columns.stride + kx * size.columns.dilation - size.columns.before;
    source_y * size.columns.input + source_x
}

/// One output pixel where each channel has one filter.
#[inline(always)]
fn pixel_of_single(
    image: &[f32],
    weights: &[f32],
    size: &ConvSize,
    at: (usize, usize),
    output: &mut [f32],
) {
    let channels = output.len();
    let (rows, columns) = (size.rows.taps(at.0), size.columns.taps(at.1));
    for (block, output) in output.chunks_mut(BLOCK).enumerate() {
        let first = block * BLOCK;
        let mut sums = [0.0f32; BLOCK];
        for ky in rows.clone() {
            for kx in columns.clone() {
                let values = &image[source(size, at, ky, kx) * channels + first..][..output.len()];
                let tap = ky * size.columns.kernel + kx;
                let weights = &weights[tap * channels + first..][..output.len()];
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
        output.copy_from_slice(&sums[..output.len()]);
    }
}

/// One output pixel where each channel has `multiplier` filters.
#[inline(always)]
fn pixel_of_multiplied(
    image: &[f32],
    weights: &[f32],
    size: &ConvSize,
    at: (usize, usize),
    multiplier: usize,
    output: &mut [f32],
) {
    output.fill(0.0);
    let out_channels = output.len();
    let channels = out_channels / multiplier;
    for ky in size.rows.taps(at.0) {
        for kx in size.columns.taps(at.1) {
            let values = &image[source(size, at, ky, kx) * channels..][..channels];
            let tap = ky * size.columns.kernel + kx;
            let weights = &weights[tap * out_channels..][..out_channels];
            for ((sums, value), weights) in output
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
