//! `activation(x * scale + shift)` per channel in one pass: batch normalisation at inference.

use candle_core::{CpuStorage, CustomOp3, Error, Layout, Result, Shape, Tensor};
use mobilenet_kernels::{Activation, batch_norm};

use crate::layout::{as_channels_first, kernels_take, slice, to_channels_last};

/// Scales and shifts every channel and applies the activation.
///
/// # Shapes
/// `xs` `[B, C, H, W]`, `scale` and `shift` `[C]` -> `[B, C, H, W]`.
///
/// # Errors
/// Where the shapes do not fit each other.
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
        let mut output = vec![0.0; input.len()];
        batch_norm::scale_shift(
            input,
            slice("scale_shift scale", scale, scale_layout)?,
            slice("scale_shift shift", shift, shift_layout)?,
            self.0,
            &mut output,
        )
        .map_err(Error::wrap)?;
        Ok((CpuStorage::F32(output), input_layout.shape().clone()))
    }
}
