//! Full convolution on NHWC. In MobileNetV1 this is the stem, where 3 input channels are too few
//! for a matrix product to pay: the output channels are the vector, and each input value is
//! multiplied with one row of weights.
//!
//! ```text
//! output[b, y, x, o] = sum over ky, kx, i of
//!     input[b, y*s + ky*d - top, x*s + kx*d - left, i] * weights[ky, kx, i, o]
//! ```

use rayon::prelude::*;

use crate::depthwise::store_block;
use crate::error::{KernelError, check_length};
use crate::geometry::ConvSize;
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Output channels that are summed at once: their sums stay in registers over all taps.
const BLOCK: usize = 16;

/// Convolves `input` `[batch, height, width, in_channels]` with `weights`
/// `[kernel rows, kernel columns, in_channels, out_channels]` into `output`
/// `[batch, output rows, output columns, out_channels]`.
///
/// # Errors
/// Where a slice has not the length of its shape.
pub fn conv(
    input: &[f32],
    weights: &[f32],
    size: &ConvSize,
    in_channels: usize,
    out_channels: usize,
    output: &mut [f32],
) -> Result<(), KernelError> {
    let taps = [size.rows.kernel, size.columns.kernel];
    check_length(
        "weights",
        weights.len(),
        &[taps[0], taps[1], in_channels, out_channels],
    )?;
    check_length("input", input.len(), &[size.input_len(in_channels)?])?;
    check_length("output", output.len(), &[size.output_len(out_channels)?])?;
    if in_channels == 0 || out_channels == 0 {
        return Err(KernelError::Zero { what: "channels" });
    }
    let isa = Isa::current()?;
    let image_len = size.rows.input * size.columns.input * in_channels;
    output
        .par_chunks_mut(size.columns.output * out_channels)
        .enumerate()
        .for_each(|(row, output)| {
            let (image, y) = (row / size.rows.output, row % size.rows.output);
            let image = &input[image * image_len..][..image_len];
            let channels = [in_channels, out_channels];
            dispatch(
                isa,
                Row {
                    image,
                    weights,
                    size,
                    y,
                    channels,
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
    channels: [usize; 2],
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
            channels,
            output,
        } = self;
        for (x, pixel) in output.chunks_exact_mut(channels[1]).enumerate() {
            for (block, sums) in pixel.chunks_mut(BLOCK).enumerate() {
                sum_taps(image, weights, size, (y, x), channels, block * BLOCK, sums);
            }
        }
    }
}

/// Sums of one output pixel for the output channels from `first` on.
#[inline(always)]
fn sum_taps(
    image: &[f32],
    weights: &[f32],
    size: &ConvSize,
    (y, x): (usize, usize),
    [in_channels, out_channels]: [usize; 2],
    first: usize,
    output: &mut [f32],
) {
    let mut sums = [0.0f32; BLOCK];
    for ky in size.rows.taps(y) {
        let source_y = y * size.rows.stride + ky * size.rows.dilation - size.rows.before;
        for kx in size.columns.taps(x) {
            let source_x =
                x * size.columns.stride + kx * size.columns.dilation - size.columns.before;
            let pixel = (source_y * size.columns.input + source_x) * in_channels;
            let tap = (ky * size.columns.kernel + kx) * in_channels;
            for (i, &value) in image[pixel..pixel + in_channels].iter().enumerate() {
                let weights = &weights[(tap + i) * out_channels + first..][..output.len()];
                // A full block has a length known to the compiler, which makes it vectors.
                if let Some(weights) = weights.first_chunk::<BLOCK>() {
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += value * weight;
                    }
                } else {
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += value * weight;
                    }
                }
            }
        }
    }
    store_block(output, &sums);
}
