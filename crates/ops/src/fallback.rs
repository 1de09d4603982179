//! The same ops composed of candle's ops. They work on GPUs and with f16, bf16 and f64, and are
//! differentiable. They are slower than the kernels, and tested against them on the CPU.

use candle_core::{D, Result, Tensor};
use mobilenet_kernels::{Activation, Axis, ConvSize};

use crate::functional::BatchNormOutput;

fn pad(xs: &Tensor, size: &ConvSize) -> Result<Tensor> {
    xs.pad_with_zeros(2, size.rows.before, size.rows.after())?
        .pad_with_zeros(3, size.columns.before, size.columns.after())
}

/// The input that tap `tap` reads for each output, along dimension `dim` of the padded input.
fn tap(padded: &Tensor, dim: usize, axis: &Axis, tap: usize) -> Result<Tensor> {
    let start = tap * axis.dilation;
    if axis.stride == 1 {
        return padded.narrow(dim, start, axis.output);
    }
    let indices: Vec<u32> = (0..axis.output)
        .map(|output| (start + output * axis.stride) as u32)
        .collect();
    let indices = Tensor::new(indices, padded.device())?;
    padded.index_select(&indices, dim)
}

/// Every tap of the window in row-major order, each `[B, C, H', W']`.
fn taps(xs: &Tensor, size: &ConvSize) -> Result<Vec<Tensor>> {
    taps_of_padded(&pad(xs, size)?.contiguous()?, size)
}

fn taps_of_padded(padded: &Tensor, size: &ConvSize) -> Result<Vec<Tensor>> {
    let mut all = Vec::with_capacity(size.rows.kernel * size.columns.kernel);
    for ky in 0..size.rows.kernel {
        let rows = tap(padded, 2, &size.rows, ky)?.contiguous()?;
        for kx in 0..size.columns.kernel {
            all.push(tap(&rows, 3, &size.columns, kx)?);
        }
    }
    Ok(all)
}

/// [`crate::conv2d`] as a matrix product with all taps side by side.
pub fn conv2d(xs: &Tensor, weight: &Tensor, size: &ConvSize) -> Result<Tensor> {
    let (out_channels, in_channels, rows, columns) = weight.dims4()?;
    let columns_of_taps = Tensor::cat(&taps(xs, size)?, 1)?;
    let matrix = weight
        .permute((0, 2, 3, 1))?
        .reshape((out_channels, rows * columns * in_channels))?;
    pointwise_conv2d(&columns_of_taps, &matrix)
}

/// [`crate::depthwise_conv2d`] as a sum over taps.
pub fn depthwise_conv2d(xs: &Tensor, weight: &Tensor, size: &ConvSize) -> Result<Tensor> {
    let (batch, channels, _, _) = xs.dims4()?;
    let (out_channels, _, rows, columns) = weight.dims4()?;
    let multiplier = out_channels / channels;
    let (height, width) = (size.rows.output, size.columns.output);
    let weight = weight.reshape((channels, multiplier, rows * columns))?;
    let mut sum: Option<Tensor> = None;
    for (index, values) in taps(xs, size)?.iter().enumerate() {
        let weight = weight
            .narrow(2, index, 1)?
            .reshape((1, channels, multiplier, 1))?;
        let values = values.reshape((batch, channels, 1, height * width))?;
        let product = values.broadcast_mul(&weight)?;
        sum = Some(match sum {
            Some(sum) => (sum + product)?,
            None => product,
        });
    }
    sum.ok_or_else(|| candle_core::Error::Msg("depthwise_conv2d: empty kernel".into()))?
        .reshape((batch, out_channels, height, width))
}

/// [`crate::pointwise_conv2d`] as a matrix product; `weight` is `[O, I]`.
pub fn pointwise_conv2d(xs: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (batch, in_channels, height, width) = xs.dims4()?;
    let pixels = xs.reshape((batch, in_channels, height * width))?;
    weight
        .broadcast_matmul(&pixels)?
        .reshape((batch, weight.dim(0)?, height, width))
}

/// [`crate::scale_shift`] as a multiplication, an addition and a clamp.
pub fn scale_shift(
    xs: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    activation: Activation,
) -> Result<Tensor> {
    let channels = xs.dim(1)?;
    let scale = scale.reshape((1, channels, 1, 1))?;
    let shift = shift.reshape((1, channels, 1, 1))?;
    activate(
        &xs.broadcast_mul(&scale)?.broadcast_add(&shift)?,
        activation,
    )
}

/// [`crate::batch_norm`] composed of moments, products and sums.
pub fn batch_norm(
    xs: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    epsilon: f64,
    activation: Activation,
) -> Result<BatchNormOutput> {
    let (batch, channels, height, width) = xs.dims4()?;
    let count = batch * height * width;
    let rows = xs.transpose(0, 1)?.reshape((channels, count))?;
    let mean = rows.mean_keepdim(D::Minus1)?;
    let centred = rows.broadcast_sub(&mean)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let inverse = (&variance + epsilon)?.sqrt()?.recip()?;
    let mut normalised = centred.broadcast_mul(&inverse)?;
    if let Some(weight) = weight {
        normalised = normalised.broadcast_mul(&weight.reshape((channels, 1))?)?;
    }
    if let Some(bias) = bias {
        normalised = normalised.broadcast_add(&bias.reshape((channels, 1))?)?;
    }
    let output = normalised
        .reshape((channels, batch, height, width))?
        .transpose(0, 1)?;
    Ok(BatchNormOutput {
        output: activate(&output, activation)?,
        mean: mean.flatten_all()?.detach(),
        variance: variance.flatten_all()?.detach(),
    })
}

/// [`crate::softmax_cross_entropy`] by candle's softmax.
pub fn softmax_cross_entropy(
    logits: &Tensor,
    labels: &Tensor,
    label_smoothing: f64,
) -> Result<Tensor> {
    let log_p = candle_nn::ops::log_softmax(logits, D::Minus1)?;
    let right = log_p.gather(&labels.unsqueeze(1)?, 1)?.mean_all()?;
    let spread = (log_p.mean_all()? * label_smoothing)?;
    ((right * (1.0 - label_smoothing))? + spread)?.neg()
}

/// [`crate::activate`] as a choice between the values and their clamp, which has no gradient.
/// candle's own clamp halves the gradient at the bounds, and its ReLU passes it at 0.
pub fn activate(xs: &Tensor, activation: Activation) -> Result<Tensor> {
    let constant = xs.detach();
    match activation {
        Activation::Relu6 => {
            let inside = (constant.gt(0f32)? * constant.lt(6f32)?)?;
            inside.where_cond(xs, &constant.clamp(0f32, 6f32)?)
        }
        Activation::Relu => constant.gt(0f32)?.where_cond(xs, &constant.relu()?),
        Activation::Identity => Ok(xs.clone()),
    }
}

/// [`crate::avg_pool2d`] as a mean over taps. The window has no padding.
pub fn avg_pool2d(xs: &Tensor, size: &ConvSize) -> Result<Tensor> {
    Tensor::stack(&taps(xs, size)?, 0)?.mean(0)
}

/// [`crate::max_pool2d`] as the largest of all taps.
pub fn max_pool2d(xs: &Tensor, size: &ConvSize) -> Result<Tensor> {
    let padded = pad_below(xs, 2, &size.rows)?;
    let padded = pad_below(&padded, 3, &size.columns)?.contiguous()?;
    let mut taps = taps_of_padded(&padded, size)?.into_iter();
    let first = taps.next();
    let first = first.ok_or_else(|| candle_core::Error::Msg("max_pool2d: empty window".into()))?;
    taps.try_fold(first, |largest, tap| largest.maximum(&tap))
}

/// Pads one dimension with values below all others.
fn pad_below(xs: &Tensor, dim: usize, axis: &Axis) -> Result<Tensor> {
    let side = |length: usize| {
        let mut shape = xs.dims().to_vec();
        shape[dim] = length;
        Tensor::full(f32::NEG_INFINITY, shape, xs.device())?.to_dtype(xs.dtype())
    };
    let (before, after) = (axis.before, axis.after());
    let mut parts = Vec::with_capacity(3);
    if before > 0 {
        parts.push(side(before)?);
    }
    parts.push(xs.clone());
    if after > 0 {
        parts.push(side(after)?);
    }
    match parts.len() {
        1 => Ok(xs.clone()),
        _ => Tensor::cat(&parts, dim),
    }
}
