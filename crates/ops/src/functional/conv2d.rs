//! Full convolution with TensorFlow's SAME or explicit padding.

use candle_core::{CpuStorage, CustomOp2, Error, Layout, Result, Shape, Tensor};
use mobilenet_kernels::{ConvGeometry, backward, conv::conv};

use crate::layout::{as_channels_first, gradient_of, kernels_take, read, slice, to_channels_last};

/// Convolves without bias.
///
/// # Shapes
/// `xs` `[B, I, H, W]`, `weight` `[O, I, kernel rows, kernel columns]` -> `[B, O, H', W']` with
/// `H'` and `W'` by [`ConvGeometry::resolve`].
///
/// # Errors
/// If the shapes do not fit each other or the geometry.
pub fn conv2d(xs: &Tensor, weight: &Tensor, geometry: &ConvGeometry) -> Result<Tensor> {
    let (batch, in_channels, height, width) = xs.dims4()?;
    let (_, expected, rows, columns) = weight.dims4()?;
    if expected != in_channels || geometry.kernel != [rows, columns] {
        return Err(Error::Msg(format!(
            "conv2d: weight {:?} does not fit input {:?} and kernel {:?}",
            weight.dims(),
            xs.dims(),
            geometry.kernel
        ))
        .bt());
    }
    if geometry.is_pointwise() {
        return super::pointwise_conv2d(xs, weight);
    }
    let size = geometry
        .resolve(batch, height, width)
        .map_err(Error::wrap)?;
    if !kernels_take(xs) {
        return crate::fallback::conv2d(xs, weight, &size);
    }
    let weight = weight.permute((2, 3, 1, 0))?.contiguous()?;
    as_channels_first(&to_channels_last(xs)?.apply_op2(&weight, Conv2dOp(*geometry))?)
}

/// Input `[B, H, W, I]`, weights `[rows, columns, I, O]`, output `[B, H', W', O]`.
struct Conv2dOp(ConvGeometry);

impl CustomOp2 for Conv2dOp {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, height, width, in_channels) = input_layout.shape().dims4()?;
        let out_channels = weights_layout.shape().dims4()?.3;
        let size = self.0.resolve(batch, height, width).map_err(Error::wrap)?;
        let mut output = vec![0.0; size.output_len(out_channels).map_err(Error::wrap)?];
        conv(
            slice("conv2d input", input, input_layout)?,
            slice("conv2d weight", weights, weights_layout)?,
            &size,
            in_channels,
            out_channels,
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
        let (batch, height, width, i) = xs.dims4()?;
        let o = weight.dims4()?.3;
        let size = self.0.resolve(batch, height, width).map_err(Error::wrap)?;
        let arguments = [xs, weight, gradient];
        read("conv2d gradient", arguments, |[input, weights, g]| {
            let of_input = gradient_of(xs, |to| {
                backward::conv::input_gradient(weights, &size, i, o, g, to)
            })?;
            let of_weight = gradient_of(weight, |to| {
                backward::conv::weight_gradient(input, &size, i, o, g, to)
            })?;
            Ok((of_input, of_weight))
        })
    }
}
