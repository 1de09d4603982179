//! Average pooling.

use candle_core::{CpuStorage, CustomOp1, Error, Layout, Result, Shape, Tensor};
use mobilenet_kernels::{ConvGeometry, Padding, backward, pool};

use crate::layout::{as_channels_first, gradient_of, kernels_take, read, slice, to_channels_last};

/// Averages windows of `kernel` rows and columns, without padding (TensorFlow's VALID).
///
/// # Shapes
/// `xs` `[B, C, H, W]` -> `[B, C, H', W']`, with `H' = (H - kernel rows) / stride + 1` and
/// `W' = (W - kernel columns) / stride + 1`.
///
/// # Errors
/// If the window does not fit the input.
pub fn avg_pool2d(xs: &Tensor, kernel: [usize; 2], stride: usize) -> Result<Tensor> {
    let (batch, _, height, width) = xs.dims4()?;
    let geometry = ConvGeometry {
        kernel,
        stride,
        dilation: 1,
        padding: Padding::VALID,
    };
    let size = geometry
        .resolve(batch, height, width)
        .map_err(Error::wrap)?;
    if !kernels_take(xs) {
        return crate::fallback::avg_pool2d(xs, &size);
    }
    as_channels_first(&to_channels_last(xs)?.apply_op1(AvgPool2dOp(geometry))?)
}

/// Averages each channel over the whole feature map.
///
/// # Shapes
/// `xs` `[B, C, H, W]` -> `[B, C, 1, 1]`.
///
/// # Errors
/// If a map has no pixels.
pub fn global_avg_pool2d(xs: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = xs.dims4()?;
    if height == 0 || width == 0 {
        return Err(Error::Msg(format!("global_avg_pool2d: empty map {:?}", xs.dims())).bt());
    }
    if !kernels_take(xs) {
        return xs.mean_keepdim((2, 3));
    }
    as_channels_first(&to_channels_last(xs)?.apply_op1(GlobalAvgPool2dOp)?)
}

/// Input `[B, H, W, C]`, output `[B, H', W', C]`.
struct AvgPool2dOp(ConvGeometry);

impl CustomOp1 for AvgPool2dOp {
    fn name(&self) -> &'static str {
        "avg_pool2d"
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, height, width, channels) = layout.shape().dims4()?;
        let size = self.0.resolve(batch, height, width).map_err(Error::wrap)?;
        let mut output = vec![0.0; size.output_len(channels).map_err(Error::wrap)?];
        let input = slice("avg_pool2d input", input, layout)?;
        pool::average_pool(input, &size, channels, &mut output).map_err(Error::wrap)?;
        let shape = (batch, size.rows.output, size.columns.output, channels);
        Ok((CpuStorage::F32(output), shape.into()))
    }

    fn bwd(&self, xs: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (batch, height, width, channels) = xs.dims4()?;
        let size = self.0.resolve(batch, height, width).map_err(Error::wrap)?;
        read("avg_pool2d gradient", [gradient], |[g]| {
            gradient_of(xs, |to| {
                backward::pool::average_pool_gradient(&size, channels, g, to)
            })
        })
    }
}

/// Input `[B, H, W, C]`, output `[B, 1, 1, C]`.
struct GlobalAvgPool2dOp;

impl CustomOp1 for GlobalAvgPool2dOp {
    fn name(&self) -> &'static str {
        "global_avg_pool2d"
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, height, width, channels) = layout.shape().dims4()?;
        let mut output = vec![0.0; batch * channels];
        let input = slice("global_avg_pool2d input", input, layout)?;
        pool::global_average_pool(input, batch, height * width, channels, &mut output)
            .map_err(Error::wrap)?;
        Ok((CpuStorage::F32(output), (batch, 1, 1, channels).into()))
    }

    fn bwd(&self, xs: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (batch, height, width, channels) = xs.dims4()?;
        let pixels = height * width;
        read("global_avg_pool2d gradient", [gradient], |[g]| {
            gradient_of(xs, |to| {
                backward::pool::global_average_pool_gradient(batch, pixels, channels, g, to)
            })
        })
    }
}
