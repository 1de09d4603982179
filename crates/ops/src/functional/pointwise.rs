//! Pointwise (1x1) convolution.

use candle_core::{CpuStorage, CustomOp2, Error, Layout, Result, Shape, Tensor};
use mobilenet_kernels::{Epilogue, backward, pointwise::pointwise_with};

use crate::layout::{as_channels_first, gradient_of, kernels_take, read, slice, to_channels_last};

/// Multiplies the channels of every pixel with a matrix, without bias.
///
/// # Shapes
/// `xs` `[B, I, H, W]`, `weight` `[O, I, 1, 1]` or `[O, I]` -> `[B, O, H, W]`.
///
/// # Errors
/// Where the shapes do not fit each other.
pub fn pointwise_conv2d(xs: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let in_channels = xs.dims4()?.1;
    let matrix = match *weight.dims() {
        [out_channels, inputs, 1, 1] => weight.reshape((out_channels, inputs))?,
        _ => weight.clone(),
    };
    if matrix.rank() != 2 || matrix.dim(1)? != in_channels {
        return Err(Error::Msg(format!(
            "pointwise_conv2d: weight {:?} does not fit input {:?}",
            weight.dims(),
            xs.dims()
        ))
        .bt());
    }
    if !kernels_take(xs) {
        return crate::fallback::pointwise_conv2d(xs, &matrix);
    }
    let matrix = matrix.contiguous()?;
    as_channels_first(&to_channels_last(xs)?.apply_op2(&matrix, PointwiseConv2dOp)?)
}

/// Input `[B, H, W, I]`, weights `[O, I]`, output `[B, H, W, O]`.
struct PointwiseConv2dOp;

impl CustomOp2 for PointwiseConv2dOp {
    fn name(&self) -> &'static str {
        "pointwise_conv2d"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, height, width, in_channels) = input_layout.shape().dims4()?;
        let out_channels = weights_layout.shape().dims2()?.0;
        let pixels = batch * height * width;
        let output = pointwise_with(
            slice("pointwise_conv2d input", input, input_layout)?,
            slice("pointwise_conv2d weight", weights, weights_layout)?,
            pixels,
            in_channels,
            out_channels,
            &Epilogue::default(),
        )
        .map_err(Error::wrap)?;
        let shape = (batch, height, width, out_channels);
        Ok((CpuStorage::F32(output), shape.into()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (batch, height, width, i) = xs.dims4()?;
        let (pixels, o) = (batch * height * width, weight.dim(0)?);
        let arguments = [xs, weight, gradient];
        read(
            "pointwise_conv2d gradient",
            arguments,
            |[input, weights, g]| {
                let of_input = gradient_of(xs, |to| {
                    backward::pointwise::input_gradient(weights, pixels, i, o, g, to)
                })?;
                let of_weight = gradient_of(weight, |to| {
                    backward::pointwise::weight_gradient(input, pixels, i, o, g, to)
                })?;
                Ok((of_input, of_weight))
            },
        )
    }
}
