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
    product(
        Matrix::new(input, pixels, in_channels),
        Matrix::new(weights, out_channels, in_channels).transposed(),
        bias.is_some(),
        output,
    )
}

/// A matrix in a slice, row by row, or the transpose of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

impl<'a> Matrix<'a> {
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self {
            values,
            rows,
            columns,
            row_step: columns,
            column_step: 1,
        }
    }

    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_step: self.column_step,
            column_step: self.row_step,
            ..self
        }
    }
}

/// `output (+)= left * right` by the `gemm` crate, which packs both operands at each call.
#[expect(unsafe_code, reason = "gemm takes raw pointers")]
pub(crate) fn product(
    left: Matrix<'_>,
    right: Matrix<'_>,
    accumulate: bool,
    output: &mut [f32],
) -> Result<(), KernelError> {
    let (rows, depth, columns) = (left.rows, left.columns, right.columns);
    check_length("left matrix", left.values.len(), &[rows, depth])?;
    check_length("right matrix", right.values.len(), &[depth, columns])?;
    check_length("product", output.len(), &[rows, columns])?;
    let threads = rayon::current_num_threads();
    let parallelism = if threads > 1 {
        gemm::Parallelism::Rayon(threads)
    } else {
        gemm::Parallelism::None
    };
    // SAFETY: the slices hold exactly [rows, depth], [depth, columns] and [rows, columns] values,
    // as checked above, and the steps of a `Matrix` are those of its rows and columns or of the
    // transpose, so all places lie inside; `output` is borrowed mutably, so nothing aliases it.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            output.as_mut_ptr(),
            1,
            columns as isize,
            accumulate,
            left.values.as_ptr(),
            left.column_step as isize,
            left.row_step as isize,
            right.values.as_ptr(),
            right.column_step as isize,
            right.row_step as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
    Ok(())
}
