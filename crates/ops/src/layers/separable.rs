//! Depthwise separable convolution (slim's `separable_conv2d`).

use candle_core::{Result, Tensor};
use candle_nn::{ModuleT, VarBuilder};

use mobilenet_kernels::{Activation, ConvGeometry, Normalizer};

use super::normalizer::Epilogue;
use crate::functional::{depthwise_conv2d, folded, pointwise_conv2d};

/// Settings of a [`SeparableConv2d`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeparableConv2dConfig {
    /// Output channels of the pointwise part. `None`: no pointwise part, as in the depthwise layers
    /// of slim's MobileNetV1.
    pub out_channels: Option<usize>,
    /// Filters per input channel in the depthwise part.
    pub channel_multiplier: usize,
    /// Geometry of the depthwise part. Its `dilation` is slim's `rate`.
    pub geometry: ConvGeometry,
    /// Normaliser after the last part. There is none between the two parts.
    pub normalizer: Normalizer,
    /// Activation after the normaliser.
    pub activation: Activation,
}

/// Depthwise part, optional pointwise part, normaliser, activation.
#[derive(Debug, Clone)]
pub struct SeparableConv2d {
    depthwise: Tensor,
    pointwise: Option<Tensor>,
    geometry: ConvGeometry,
    epilogue: Epilogue,
}

impl SeparableConv2d {
    /// Reads the depthwise weights `[in_channels * channel_multiplier, 1, kernel rows, kernel
    /// columns]` and, with `out_channels`, the pointwise weights `[out_channels, in_channels *
    /// channel_multiplier, 1, 1]`. They are named `depthwise.weight` and `pointwise.weight`.
    /// Without pointwise part, the name is `weight`.
    pub fn new(in_channels: usize, config: SeparableConv2dConfig, vb: VarBuilder) -> Result<Self> {
        let middle = in_channels * config.channel_multiplier;
        let [rows, columns] = config.geometry.kernel;
        let shape = (middle, 1, rows, columns);
        let (depthwise, pointwise) = match config.out_channels {
            Some(out_channels) => (
                vb.get(shape, "depthwise.weight")?,
                Some(vb.get((out_channels, middle, 1, 1), "pointwise.weight")?),
            ),
            None => (vb.get(shape, "weight")?, None),
        };
        let channels = config.out_channels.unwrap_or(middle);
        Ok(Self {
            depthwise,
            pointwise,
            geometry: config.geometry,
            epilogue: Epilogue::new(channels, config.normalizer, config.activation, vb)?,
        })
    }
}

impl ModuleT for SeparableConv2d {
    /// # Shapes
    /// `[B, in_channels, H, W]` -> `[B, out_channels or in_channels * channel_multiplier, H', W']`.
    fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let (weight, geometry) = (&self.depthwise, &self.geometry);
        if self.pointwise.is_none() && folded::can_fold(&[xs, weight]) {
            let convolve = |epilogue: &mobilenet_kernels::Epilogue<'_>| {
                folded::depthwise_conv2d(xs, weight, geometry, epilogue)
            };
            if let Some(output) = self.epilogue.fold(train, convolve)? {
                return Ok(output);
            }
        }
        let mut xs = depthwise_conv2d(xs, weight, geometry)?;
        if let Some(weight) = &self.pointwise {
            xs = pointwise_conv2d(&xs, weight)?;
        }
        self.epilogue.forward_t(&xs, train)
    }
}
