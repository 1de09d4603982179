//! ReLU6 and ReLU.

use candle_core::{CpuStorage, CustomOp1, Error, Layout, Result, Shape, Tensor};
use mobilenet_kernels::{Activation, activation, backward};

use crate::layout::{as_channels_first, gradient_of, kernels_take, read, slice, to_channels_last};

/// `min(max(x, 0), 6)`, element by element; NaN stays NaN. The gradient is 0 at and beyond both
/// ends, as in TensorFlow and PyTorch.
///
/// # Shapes
/// Any shape, kept.
pub fn relu6(xs: &Tensor) -> Result<Tensor> {
    activate(xs, Activation::Relu6)
}

/// The given activation, element by element.
///
/// # Shapes
/// Any shape, kept.
pub fn activate(xs: &Tensor, activation: Activation) -> Result<Tensor> {
    if activation == Activation::Identity {
        Ok(xs.clone())
    } else if !kernels_take(xs) {
        crate::fallback::activate(xs, activation)
    } else if xs.is_contiguous() {
        xs.apply_op1(ActivateOp(activation))
    } else if xs.rank() == 4 {
        as_channels_first(&to_channels_last(xs)?.apply_op1(ActivateOp(activation))?)
    } else {
        xs.contiguous()?.apply_op1(ActivateOp(activation))
    }
}

struct ActivateOp(Activation);

impl CustomOp1 for ActivateOp {
    fn name(&self) -> &'static str {
        "activate"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let input = slice("activate input", storage, layout)?;
        let output = activation::activate_to_vec(input, self.0).map_err(Error::wrap)?;
        Ok((CpuStorage::F32(output), layout.shape().clone()))
    }

    fn bwd(&self, xs: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        read("activate gradient", [xs, gradient], |[input, g]| {
            gradient_of(xs, |to| {
                backward::activation::input_gradient(input, self.0, g, to)
            })
        })
    }
}
