//! Depthwise convolution.

use candle_core::{CpuStorage, CustomOp2, Error, Layout, Result, Shape, Tensor};
use mobilenet_kernels::{ConvGeometry, backward, depthwise::depthwise};

use crate::layout::{as_channels_first, gradient_of, kernels_take, read, slice, to_channels_last};

/// Convolves every channel with its own `m` filters, without bias. Output channel `c * m + j` is
/// filter `j` of input channel `c`.
///
/// # Shapes
/// `xs` `[B, C, H, W]`, `weight` `[C * m, 1, kernel rows, kernel columns]` -> `[B, C * m, H', W']`
/// with `H'` and `W'` by [`ConvGeometry::resolve`].
///
/// # Errors
/// If the shapes do not fit each other or the geometry.
pub fn depthwise_conv2d(xs: &Tensor, weight: &Tensor, geometry: &ConvGeometry) -> Result<Tensor> {
    let (batch, channels, height, width) = xs.dims4()?;
    let (out_channels, one, rows, columns) = weight.dims4()?;
    let fits = one == 1 && channels > 0 && out_channels > 0 && out_channels % channels == 0;
    if !fits || geometry.kernel != [rows, columns] {
        return Err(Error::Msg(format!(
            "depthwise_conv2d: weight {:?} does not fit input {:?} and kernel {:?}",
            weight.dims(),
            xs.dims(),
            geometry.kernel
        ))
        .bt());
    }
    let size = geometry
        .resolve(batch, height, width)
        .map_err(Error::wrap)?;
    if !kernels_take(xs) {
        return crate::fallback::depthwise_conv2d(xs, weight, &size);
    }
    let weight = weight.squeeze(1)?.permute((1, 2, 0))?.contiguous()?;
    as_channels_first(&to_channels_last(xs)?.apply_op2(&weight, DepthwiseConv2dOp(*geometry))?)
}

/// Input `[B, H, W, C]`, weights `[rows, columns, C * m]`, output `[B, H', W', C * m]`.
struct DepthwiseConv2dOp(ConvGeometry);

impl CustomOp2 for DepthwiseConv2dOp {
    fn name(&self) -> &'static str {
        "depthwise_conv2d"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, height, width, channels) = input_layout.shape().dims4()?;
        let out_channels = weights_layout.shape().dims3()?.2;
        let size = self.0.resolve(batch, height, width).map_err(Error::wrap)?;
        let mut output = vec![0.0; size.output_len(out_channels).map_err(Error::wrap)?];
        depthwise(
            slice("depthwise_conv2d input", input, input_layout)?,
            slice("depthwise_conv2d weight", weights, weights_layout)?,
            &size,
            channels,
            out_channels / channels,
            &mut output,
        )
        .map_err(Error::wrap)?;
        let shape = (batch, size.rows.output, size.columns.output, out_channels);
        Ok((CpuStorage::F32(output), shape.into()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (batch, height, width, c) = xs.dims4()?;
        let m = weight.dims3()?.2 / c;
        let size = self.0.resolve(batch, height, width).map_err(Error::wrap)?;
        let arguments = [xs, weight, gradient];
        read(
            "depthwise_conv2d gradient",
            arguments,
            |[input, weights, g]| {
                let of_input = gradient_of(xs, |to| {
                    backward::depthwise::input_gradient(weights, &size, c, m, g, to)
                })?;
                let of_weight = gradient_of(weight, |to| {
                    backward::depthwise::weight_gradient(input, &size, c, m, g, to)
                })?;
                Ok((of_input, of_weight))
            },
        )
    }
}
