//! Full or pointwise convolution with its normaliser and activation (slim's `conv2d`).

use candle_core::{Result, Tensor};
use candle_nn::{ModuleT, VarBuilder};

use mobilenet_kernels::{Activation, ConvGeometry, Normalizer};

use super::normalizer::Epilogue;
use crate::functional::{conv2d, folded};

/// Convolution, normaliser, activation.
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: Tensor,
    geometry: ConvGeometry,
    epilogue: Epilogue,
}

impl Conv2d {
    /// Reads `weight` `[out_channels, in_channels, kernel rows, kernel columns]` and the
    /// normaliser's parameters.
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        geometry: ConvGeometry,
        normalizer: Normalizer,
        activation: Activation,
        vb: VarBuilder,
    ) -> Result<Self> {
        let [rows, columns] = geometry.kernel;
        Ok(Self {
            weight: vb.get((out_channels, in_channels, rows, columns), "weight")?,
            geometry,
            epilogue: Epilogue::new(out_channels, normalizer, activation, vb)?,
        })
    }
}

impl ModuleT for Conv2d {
    /// # Shapes
    /// `[B, in_channels, H, W]` -> `[B, out_channels, H', W']`.
    fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let Self {
            weight, geometry, ..
        } = self;
        if folded::can_fold(&[xs, weight]) {
            let convolve = |epilogue: &mobilenet_kernels::Epilogue<'_>| {
                folded::conv2d(xs, weight, geometry, epilogue)
            };
            if let Some(output) = self.epilogue.fold(train, convolve)? {
                return Ok(output);
            }
        }
        let xs = conv2d(xs, weight, geometry)?;
        self.epilogue.forward_t(&xs, train)
    }
}
