//! Convolutions with folded normaliser and activation, for evaluation: one pass where separate ops
//! need two. They have no gradient, so they are used only where none can be asked for.

use candle_core::{Error, Result, Tensor};
use mobilenet_kernels::conv::conv_with;
use mobilenet_kernels::depthwise::depthwise_with;
use mobilenet_kernels::pointwise::pointwise_with;
use mobilenet_kernels::{ConvGeometry, Epilogue};

use crate::layout::{as_channels_first, kernels_take, read, to_channels_last};

/// Whether the kernels support these tensors, and none of them needs a gradient.
pub(crate) fn can_fold(tensors: &[&Tensor]) -> bool {
    tensors
        .iter()
        .all(|tensor| kernels_take(tensor) && !tensor.track_op())
}

/// [`crate::conv2d`] with normaliser and activation.
pub(crate) fn conv2d(
    xs: &Tensor,
    weight: &Tensor,
    geometry: &ConvGeometry,
    epilogue: &Epilogue<'_>,
) -> Result<Tensor> {
    let (batch, in_channels, height, width) = xs.dims4()?;
    let (out_channels, expected, rows, columns) = weight.dims4()?;
    if expected != in_channels || geometry.kernel != [rows, columns] {
        return Err(misfit("conv2d", xs, weight));
    }
    let size = geometry
        .resolve(batch, height, width)
        .map_err(Error::wrap)?;
    let xs = to_channels_last(xs)?;
    let output = read("conv2d", [&xs, weight], |[input, weights]| {
        if geometry.is_pointwise() {
            let pixels = batch * height * width;
            pointwise_with(input, weights, pixels, in_channels, out_channels, epilogue)
        } else {
            conv_with(input, weights, &size, in_channels, out_channels, epilogue)
        }
        .map_err(Error::wrap)
    })?;
    let shape = (batch, size.rows.output, size.columns.output, out_channels);
    as_channels_first(&Tensor::from_vec(output, shape, xs.device())?)
}

/// [`crate::depthwise_conv2d`] with normaliser and activation.
pub(crate) fn depthwise_conv2d(
    xs: &Tensor,
    weight: &Tensor,
    geometry: &ConvGeometry,
    epilogue: &Epilogue<'_>,
) -> Result<Tensor> {
    let (batch, channels, height, width) = xs.dims4()?;
    let (out_channels, one, rows, columns) = weight.dims4()?;
    let fits = one == 1 && channels > 0 && out_channels > 0 && out_channels % channels == 0;
    if !fits || geometry.kernel != [rows, columns] {
        return Err(misfit("depthwise_conv2d", xs, weight));
    }
    let size = geometry
        .resolve(batch, height, width)
        .map_err(Error::wrap)?;
    let xs = to_channels_last(xs)?;
    let output = read("depthwise_conv2d", [&xs, weight], |[input, weights]| {
        let multiplier = out_channels / channels;
        depthwise_with(input, weights, &size, channels, multiplier, epilogue).map_err(Error::wrap)
    })?;
    let shape = (batch, size.rows.output, size.columns.output, out_channels);
    as_channels_first(&Tensor::from_vec(output, shape, xs.device())?)
}

fn misfit(op: &str, xs: &Tensor, weight: &Tensor) -> Error {
    let (xs, weight) = (xs.dims(), weight.dims());
    Error::Msg(format!("{op}: weight {weight:?} does not fit input {xs:?}")).bt()
}
