//! Average pooling on NHWC.

use rayon::prelude::*;

use crate::error::{KernelError, check_length};
use crate::geometry::ConvSize;

/// Averages each window of `input` `[batch, height, width, channels]` into `output`
/// `[batch, output rows, output columns, channels]`. Padding does not count as a value, as in
/// TensorFlow.
///
/// # Errors
/// Where a slice has not the length of its shape.
pub fn average_pool(
    input: &[f32],
    size: &ConvSize,
    channels: usize,
    output: &mut [f32],
) -> Result<(), KernelError> {
    if channels == 0 {
        return Err(KernelError::Zero { what: "channels" });
    }
    check_length("input", input.len(), &[size.input_len(channels)?])?;
    check_length("output", output.len(), &[size.output_len(channels)?])?;
    let image_len = size.rows.input * size.columns.input * channels;
    output
        .par_chunks_mut(channels)
        .enumerate()
        .for_each(|(pixel, output)| {
            let (row, x) = (pixel / size.columns.output, pixel % size.columns.output);
            let (image, y) = (row / size.rows.output, row % size.rows.output);
            let image = &input[image * image_len..][..image_len];
            let (rows, columns) = (size.rows.taps(y), size.columns.taps(x));
            let count = rows.len() * columns.len();
            output.fill(0.0);
            for (ky, kx) in rows.flat_map(|ky| columns.clone().map(move |kx| (ky, kx))) {
                let source_y = y * size.rows.stride + ky * size.rows.dilation - size.rows.before;
                let source_x =
                    x * size.columns.stride + kx * size.columns.dilation - size.columns.before;
                let source = (source_y * size.columns.input + source_x) * channels;
                for (sum, value) in output.iter_mut().zip(&image[source..source + channels]) {
                    *sum += value;
                }
            }
            // A window that lies on padding alone averages nothing: 0.
            let scale = 1.0 / count.max(1) as f32;
            for sum in output {
                *sum *= scale;
            }
        });
    Ok(())
}

/// Averages all pixels of each image: `input` `[batch, pixels, channels]`, `output`
/// `[batch, channels]`.
///
/// # Errors
/// Where a slice has not the length of its shape.
pub fn global_average_pool(
    input: &[f32],
    batch: usize,
    pixels: usize,
    channels: usize,
    output: &mut [f32],
) -> Result<(), KernelError> {
    if pixels == 0 || channels == 0 {
        return Err(KernelError::Zero {
            what: "pool window",
        });
    }
    check_length("input", input.len(), &[batch, pixels, channels])?;
    check_length("output", output.len(), &[batch, channels])?;
    let scale = 1.0 / pixels as f32;
    output
        .par_chunks_mut(channels)
        .zip(input.par_chunks(pixels * channels))
        .for_each(|(output, image)| {
            output.fill(0.0);
            for pixel in image.chunks_exact(channels) {
                for (sum, value) in output.iter_mut().zip(pixel) {
                    *sum += value;
                }
            }
            for sum in output {
                *sum *= scale;
            }
        });
    Ok(())
}
