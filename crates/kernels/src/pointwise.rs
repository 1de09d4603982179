//! Pointwise (1x1) convolution: the matrix product of all pixels with the weights.
//!
//! ```text
//! output[p, o] = bias[o] + sum over i of input[p, i] * weights[o, i]
//! ```

use crate::error::{KernelError, check_length};

/// Multiplies `input` `[pixels, in_channels]` with `weights` `[out_channels, in_channels]` (the
/// layout of candle's and PyTorch's 1x1 kernels) into `output` `[pixels, out_channels]`.
///
/// # Errors
/// Where a slice has not the length of its shape.
pub fn pointwise(
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    pixels: usize,
    in_channels: usize,
    out_channels: usize,
    output: &mut [f32],
) -> Result<(), KernelError> {
    if in_channels == 0 || out_channels == 0 {
        return Err(KernelError::Zero { what: "channels" });
    }
    check_length("input", input.len(), &[pixels, in_channels])?;
    check_length("weights", weights.len(), &[out_channels, in_channels])?;
    check_length("output", output.len(), &[pixels, out_channels])?;
    if let Some(bias) = bias {
        check_length("bias", bias.len(), &[out_channels])?;
        for pixel in output.chunks_exact_mut(out_channels) {
            pixel.copy_from_slice(bias);
        }
    }
    matrix_product(
        input,
        weights,
        [pixels, in_channels, out_channels],
        bias.is_some(),
        output,
    );
    Ok(())
}

/// `output (+)= input * weights^T` by the `gemm` crate, which packs both operands at each call.
#[expect(unsafe_code, reason = "gemm takes raw pointers")]
fn matrix_product(
    input: &[f32],
    weights: &[f32],
    [pixels, in_channels, out_channels]: [usize; 3],
    accumulate: bool,
    output: &mut [f32],
) {
    let threads = rayon::current_num_threads();
    let parallelism = if threads > 1 {
        gemm::Parallelism::Rayon(threads)
    } else {
        gemm::Parallelism::None
    };
    // SAFETY: `pointwise` has checked that the slices hold exactly [pixels, in_channels],
    // [out_channels, in_channels] and [pixels, out_channels] values, which are the matrices that
    // these sizes and strides describe; `output` is borrowed mutably, so nothing aliases it.
    unsafe {
        gemm::gemm(
            pixels,
            out_channels,
            in_channels,
            output.as_mut_ptr(),
            1,
            out_channels as isize,
            accumulate,
            input.as_ptr(),
            1,
            in_channels as isize,
            weights.as_ptr(),
            in_channels as isize,
            1,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}
