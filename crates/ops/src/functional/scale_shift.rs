//! `activation(x * scale + shift)` per channel in one pass: batch normalisation at inference.

use candle_core::{CpuStorage, CustomOp3, Error, Layout, Result, Shape, Tensor};
use mobilenet_kernels::{Activation, backward, batch_norm};

use crate::layout::{as_channels_first, gradient_of, kernels_take, read, slice, to_channels_last};

/// Scales and shifts every channel and applies the activation.
///
/// # Shapes
/// `xs` `[B, C, H, W]`, `scale` and `shift` `[C]` -> `[B, C, H, W]`.
///
/// # Errors
/// If the shapes do not fit each other.
pub fn scale_shift(
    xs: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    activation: Activation,
) -> Result<Tensor> {
    let channels = xs.dims4()?.1;
    if scale.dims() != [channels] || shift.dims() != [channels] {
        return Err(Error::Msg(format!(
            "scale_shift: scale {:?} and shift {:?} do not fit input {:?}",
            scale.dims(),
            shift.dims(),
            xs.dims()
        ))
        .bt());
    }
    if !kernels_take(xs) {
        return crate::fallback::scale_shift(xs, scale, shift, activation);
    }
    let (scale, shift) = (scale.contiguous()?, shift.contiguous()?);
    let output = to_channels_last(xs)?.apply_op3(&scale, &shift, ScaleShiftOp(activation))?;
    as_channels_first(&output)
}

/// Input and output `[B, H, W, C]`, scale and shift `[C]`.
struct ScaleShiftOp(Activation);

impl CustomOp3 for ScaleShiftOp {
    fn name(&self) -> &'static str {
        "scale_shift"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        scale: &CpuStorage,
        scale_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let input = slice("scale_shift input", input, input_layout)?;
        let output = batch_norm::scale_shift_to_vec(
            input,
            slice("scale_shift scale", scale, scale_layout)?,
            slice("scale_shift shift", shift, shift_layout)?,
            self.0,
        )
        .map_err(Error::wrap)?;
        Ok((CpuStorage::F32(output), input_layout.shape().clone()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        use backward::scale_shift::{input_gradient, parameter_gradients};
        let arguments = [xs, scale, shift, gradient];
        read("scale_shift gradient", arguments, |[input, a, b, g]| {
            let of_input = gradient_of(xs, |to| input_gradient(input, a, b, self.0, g, to))?;
            if !scale.track_op() && !shift.track_op() {
                return Ok((of_input, None, None));
            }
            let found = parameter_gradients(input, a, b, self.0, g).map_err(Error::wrap)?;
            let of_scale = Tensor::from_vec(found.scale, scale.shape(), scale.device())?;
            let of_shift = Tensor::from_vec(found.shift, shift.shape(), shift.device())?;
            Ok((
                of_input,
                scale.track_op().then_some(of_scale),
                shift.track_op().then_some(of_shift),
            ))
        })
    }
}
