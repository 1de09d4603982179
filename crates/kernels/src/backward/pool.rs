//! Gradients of the average pools: every input takes its share of the windows that it lies in.

use rayon::prelude::*;

use crate::error::{KernelError, check_length};
use crate::geometry::ConvSize;

/// The gradient of the input of [`crate::pool::average_pool`].
///
/// # Errors
/// Where a slice has not the length of its shape.
pub fn average_pool_gradient(
    size: &ConvSize,
    channels: usize,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    if channels == 0 {
        return Err(KernelError::Zero { what: "channels" });
    }
    let (inputs, outputs) = (size.input_len(channels)?, size.output_len(channels)?);
    check_length("output gradient", output_gradient.len(), &[outputs])?;
    check_length("input gradient", input_gradient.len(), &[inputs])?;
    let map_len = size.rows.output * size.columns.output * channels;
    input_gradient
        .par_chunks_mut(channels)
        .enumerate()
        .for_each(|(pixel, input_gradient)| {
            let (row, x) = (pixel / size.columns.input, pixel % size.columns.input);
            let (image, y) = (row / size.rows.input, row % size.rows.input);
            let map = &output_gradient[image * map_len..][..map_len];
            input_gradient.fill(0.0);
            for above in size.rows.readers(y) {
                for beside in size.columns.readers(x) {
                    let (rows, columns) = (size.rows.taps(above), size.columns.taps(beside));
                    let share = 1.0 / (rows.len() * columns.len()) as f32;
                    let at = (above * size.columns.output + beside) * channels;
                    for (sum, gradient) in input_gradient.iter_mut().zip(&map[at..]) {
                        *sum += gradient * share;
                    }
                }
            }
        });
    Ok(())
}

/// The gradient of the input of [`crate::pool::global_average_pool`].
///
/// # Errors
/// Where a slice has not the length of its shape.
pub fn global_average_pool_gradient(
    batch: usize,
    pixels: usize,
    channels: usize,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    if pixels == 0 || channels == 0 {
        return Err(KernelError::Zero {
            what: "pool window",
        });
    }
    check_length("output gradient", output_gradient.len(), &[batch, channels])?;
    check_length(
        "input gradient",
        input_gradient.len(),
        &[batch, pixels, channels],
    )?;
    let share = 1.0 / pixels as f32;
    input_gradient
        .par_chunks_mut(pixels * channels)
        .zip(output_gradient.par_chunks(channels))
        .for_each(|(image, gradients)| {
            for pixel in image.chunks_exact_mut(channels) {
                for (value, gradient) in pixel.iter_mut().zip(gradients) {
                    *value = gradient * share;
                }
            }
        });
    Ok(())
}
