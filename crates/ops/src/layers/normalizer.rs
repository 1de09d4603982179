//! What follows a convolution: batch normalisation or a bias, then the activation. The same for
//! every kind of convolution, as slim's `normalizer_fn` and `activation_fn` are.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

use super::batch_norm::BatchNorm;
use crate::functional::{activate, scale_shift};
use mobilenet_kernels::{Activation, Normalizer};

#[derive(Debug, Clone)]
enum Parameters {
    BatchNorm(BatchNorm),
    Bias { ones: Tensor, bias: Tensor },
    None,
}

/// Normaliser and activation of one layer.
#[derive(Debug, Clone)]
pub(crate) struct Epilogue {
    parameters: Parameters,
    activation: Activation,
}

impl Epilogue {
    pub(crate) fn new(
        channels: usize,
        normalizer: Normalizer,
        activation: Activation,
        vb: VarBuilder,
    ) -> Result<Self> {
        let parameters = match normalizer {
            Normalizer::BatchNorm(config) => {
                Parameters::BatchNorm(BatchNorm::new(channels, config, vb.pp("batch_norm"))?)
            }
            Normalizer::Bias => Parameters::Bias {
                ones: Tensor::ones(channels, vb.dtype(), vb.device())?,
                bias: vb.get_with_hints(channels, "bias", Init::Const(0.0))?,
            },
            Normalizer::None => Parameters::None,
        };
        Ok(Self {
            parameters,
            activation,
        })
    }

    pub(crate) fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        match &self.parameters {
            Parameters::BatchNorm(layer) => layer.forward_t(xs, self.activation, train),
            Parameters::Bias { ones, bias } => scale_shift(xs, ones, bias, self.activation),
            Parameters::None => activate(xs, self.activation),
        }
    }
}
