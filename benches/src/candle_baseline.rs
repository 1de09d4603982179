//! The baseline: MobileNetV1 written with candle alone, from `candle_nn`'s convolution (with groups
//! for depthwise), batch normalisation and clamp. It reads the same parameters as our network.

use candle_core::{D, Module, ModuleT, Result, Tensor};
use candle_nn::{BatchNorm, BatchNormConfig, Conv2d, Conv2dConfig, VarBuilder};
use mobilenet::model::architecture::{LOGITS_LAYER, Layer, body_layers, feature_channels};
use mobilenet::model::{LayerKind, MobileNetV1Config};
use mobilenet::ops::Normalizer;

struct Block {
    layer: Layer,
    convolution: Conv2d,
    normalization: BatchNorm,
}

/// The network, for evaluation only: running statistics, ReLU6, SAME padding, mean of the last map.
pub struct CandleBaseline {
    blocks: Vec<Block>,
    logits: Conv2d,
}

impl CandleBaseline {
    /// Builds the network of `config` from parameters with our names.
    ///
    /// # Errors
    /// If a parameter is missing or has another shape.
    pub fn new(config: &MobileNetV1Config, vb: VarBuilder) -> Result<Self> {
        let eps = match config.base.arg_scope.normalizer {
            Normalizer::BatchNorm(batch_norm) => batch_norm.epsilon,
            Normalizer::Bias | Normalizer::None => {
                candle_core::bail!("the baseline has batch normalisation only")
            }
        };
        let blocks = body_layers(&config.base)
            .map_err(candle_core::Error::wrap)?
            .into_iter()
            .map(|layer| {
                let vb = vb.pp(layer.endpoint.to_string());
                let groups = match layer.endpoint.kind {
                    LayerKind::Depthwise => layer.in_channels,
                    LayerKind::Conv | LayerKind::Pointwise => 1,
                };
                let convolution = Conv2dConfig {
                    stride: layer.geometry.stride,
                    dilation: layer.geometry.dilation,
                    groups,
                    ..Conv2dConfig::default()
                };
                let normalization = BatchNormConfig {
                    eps,
                    ..BatchNormConfig::default()
                };
                Ok(Block {
                    layer,
                    convolution: Conv2d::new(
                        vb.get(&layer.weight_shape(), "weight")?,
                        None,
                        convolution,
                    ),
                    normalization: candle_nn::batch_norm(
                        layer.out_channels,
                        normalization,
                        vb.pp("batch_norm"),
                    )?,
                })
            })
            .collect::<Result<_>>()?;
        let channels = feature_channels(&config.base).map_err(candle_core::Error::wrap)?;
        let classes = config.classes().unwrap_or(0);
        let vb = vb.pp(LOGITS_LAYER);
        let logits = Conv2d::new(
            vb.get((classes, channels, 1, 1), "weight")?,
            Some(vb.get(classes, "bias")?),
            Conv2dConfig::default(),
        );
        Ok(Self { blocks, logits })
    }
}

impl Module for CandleBaseline {
    /// # Shapes
    /// `[B, C, H, W]` -> `[B, classes]`.
    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let mut xs = xs.contiguous()?;
        for Block {
            layer,
            convolution,
            normalization,
        } in &self.blocks
        {
            let (batch, _, height, width) = xs.dims4()?;
            let size = layer
                .size(batch, height, width)
                .map_err(candle_core::Error::wrap)?;
            for (dim, axis) in [(2, size.rows), (3, size.columns)] {
                xs = xs.pad_with_zeros(dim, axis.before, axis.after())?;
            }
            xs = normalization
                .forward_t(&convolution.forward(&xs)?, false)?
                .clamp(0f32, 6f32)?;
        }
        let pooled = xs.mean_keepdim((D::Minus2, D::Minus1))?;
        self.logits
            .forward(&pooled)?
            .squeeze(D::Minus1)?
            .squeeze(D::Minus1)
    }
}
