//! The end of a layer: batch normalisation or a bias, then the activation. It is the same for every
//! kind of convolution, as slim's `normalizer_fn` and `activation_fn` are.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

use mobilenet_kernels::batch_norm::ScaleShift;
use mobilenet_kernels::{Activation, Epilogue as Folded, Normalizer};

use super::batch_norm::BatchNorm;
use crate::functional::folded::can_fold;
use crate::functional::{activate, scale_shift};
use crate::layout::read;

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

    /// Calls `convolve` with normaliser and activation as numbers that it can fold in. Returns
    /// `None` in training, and if gradients may be needed.
    pub(crate) fn fold(
        &self,
        train: bool,
        convolve: impl FnOnce(&Folded<'_>) -> Result<Tensor>,
    ) -> Result<Option<Tensor>> {
        let activation = Some(self.activation);
        match &self.parameters {
            Parameters::BatchNorm(_) if train => Ok(None),
            Parameters::BatchNorm(layer) => {
                let Some(ScaleShift { scale, shift }) = layer.constant()? else {
                    return Ok(None);
                };
                let folded = Folded {
                    scale: Some(&scale),
                    shift: Some(&shift),
                    activation,
                };
                convolve(&folded).map(Some)
            }
            Parameters::Bias { bias, .. } if can_fold(&[bias]) => {
                read("bias", [bias], |[shift]| {
                    let folded = Folded {
                        scale: None,
                        shift: Some(shift),
                        activation,
                    };
                    convolve(&folded).map(Some)
                })
            }
            Parameters::Bias { .. } => Ok(None),
            Parameters::None => {
                let folded = Folded {
                    activation,
                    ..Folded::default()
                };
                convolve(&folded).map(Some)
            }
        }
    }

    pub(crate) fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        match &self.parameters {
            Parameters::BatchNorm(layer) => layer.forward_t(xs, self.activation, train),
            Parameters::Bias { ones, bias } => scale_shift(xs, ones, bias, self.activation),
            Parameters::None => activate(xs, self.activation),
        }
    }
}
