//! The network to be trained: its layers, and the offsets of their values in one flat vector of
//! parameters.

use crate::error::KernelError;
use crate::fake_quantization::WeightScheme;
use crate::geometry::ConvGeometry;
use crate::network::Activation;
use crate::network::{ConvKind, Pooling};

/// A convolution, its batch normalisation and its activation. Offsets are into the parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingLayer {
    /// Full convolution (weights `[out, in, rows, columns]`) or depthwise (`[channels, 1, rows,
    /// columns]`).
    pub kind: ConvKind,
    /// Its window.
    pub geometry: ConvGeometry,
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Offset of the weights.
    pub weights: usize,
    /// Offset of gamma, `[out]`; `None` is 1.
    pub gamma: Option<usize>,
    /// Offset of beta, `[out]`; `None` is 0.
    pub beta: Option<usize>,
    /// Offset of the running mean, `[out]`.
    pub running_mean: usize,
    /// Offset of the running variance, `[out]`.
    pub running_variance: usize,
    /// The activation.
    pub activation: Activation,
}

/// The classifier on pooled features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingHead {
    /// Number of classes. With none, only the gradients of maps train the body.
    pub classes: usize,
    /// Offset of the weights, `[classes, channels]`.
    pub weights: usize,
    /// Offset of the biases, `[classes]`.
    pub bias: usize,
}

/// A network to be trained.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingNetwork {
    /// Rows, columns and channels of an image.
    pub image: [usize; 3],
    /// The body. The first layer is a full convolution.
    pub layers: Vec<TrainingLayer>,
    /// Which part of the last map is averaged.
    pub pooling: Pooling,
    /// The classifier.
    pub head: TrainingHead,
    /// Added to every variance.
    pub epsilon: f64,
    /// Number of parameters, running statistics included.
    pub parameters: usize,
}

/// Fake quantisation in training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FakeQuantization {
    /// Ranges of activations are measured, and nothing is rounded yet.
    Measure,
    /// Folded weights, activations and logits are rounded, too.
    Round(WeightScheme),
    /// All is rounded that integers round: also biases, and the mean of the last map. Ranges are
    /// kept, and statistics are the running ones. This is for evaluation.
    Integers {
        /// How weights are rounded.
        scheme: WeightScheme,
        /// The scale of the images' integers.
        pixel: f32,
    },
}

/// A gradient that enters at a layer's activation, from outside the network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapGradient<'a> {
    /// Index of the layer.
    pub layer: usize,
    /// The gradient, `[batch, rows, columns, channels]`.
    pub values: &'a [f32],
}

/// How a network is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingOptions {
    /// Images in a batch.
    pub batch: usize,
    /// Number of threads, the caller's included.
    pub threads: usize,
    /// Number of first layers that are not trained. They normalise by their running statistics and
    /// have no gradient. If it is all layers, only the classifier is trained.
    pub frozen_layers: usize,
    /// Whether every layer normalises by its running statistics.
    pub frozen_batch_norm: bool,
    /// Fake quantisation.
    pub quantization: Option<FakeQuantization>,
}

impl TrainingLayer {
    /// Weights of an output channel.
    pub(super) fn depth(&self) -> usize {
        let taps: usize = self.geometry.kernel.iter().product();
        match self.kind {
            ConvKind::Conv => taps * self.in_channels,
            ConvKind::Depthwise => taps,
        }
    }
}

impl TrainingOptions {
    /// How weights are rounded.
    pub(super) fn rounding(&self) -> Option<WeightScheme> {
        match self.quantization {
            Some(FakeQuantization::Round(scheme) | FakeQuantization::Integers { scheme, .. }) => {
                Some(scheme)
            }
            Some(FakeQuantization::Measure) | None => None,
        }
    }

    /// The scale of the images' integers, if all is rounded that integers round.
    pub(super) fn integers(&self) -> Option<f32> {
        match self.quantization {
            Some(FakeQuantization::Integers { pixel, .. }) => Some(pixel),
            _ => None,
        }
    }
}

impl TrainingNetwork {
    /// Checks offsets, channels, and the kinds of the layers.
    pub(super) fn check(&self, options: &TrainingOptions) -> Result<(), KernelError> {
        let mut channels = self.image[2];
        for (index, layer) in self.layers.iter().enumerate() {
            let inner = index > 0 && !layer.geometry.is_pointwise();
            let possible = match layer.kind {
                ConvKind::Conv => !inner || layer.geometry.kernel != [1, 1],
                ConvKind::Depthwise => index > 0 && layer.in_channels == layer.out_channels,
            };
            if !possible {
                return Err(KernelError::Unsupported {
                    what: "training of another layer than a full convolution, a depthwise one of \
                           one filter a channel, which is not the first, or a pointwise one",
                });
            }
            if inner && layer.kind == ConvKind::Conv && options.quantization.is_some() {
                return Err(KernelError::Unsupported {
                    what: "training for integers with a full convolution after the first layer",
                });
            }
            if layer.in_channels != channels {
                return Err(KernelError::Length {
                    what: "channels of the next layer",
                    expected: channels,
                    found: layer.in_channels,
                });
            }
            channels = layer.out_channels;
            let [rows, columns] = layer.geometry.kernel;
            let inputs = match layer.kind {
                ConvKind::Conv => layer.in_channels,
                ConvKind::Depthwise => 1,
            };
            self.fits(layer.weights, &[channels, inputs, rows, columns])?;
            for offset in [layer.gamma, layer.beta].into_iter().flatten() {
                self.fits(offset, &[channels])?;
            }
            self.fits(layer.running_mean, &[channels])?;
            self.fits(layer.running_variance, &[channels])?;
        }
        self.fits(self.head.weights, &[self.head.classes, channels])?;
        self.fits(self.head.bias, &[self.head.classes])?;
        if channels == 0 || self.layers.is_empty() {
            return Err(KernelError::Zero { what: "channels" });
        }
        Ok(())
    }

    fn fits(&self, offset: usize, shape: &[usize]) -> Result<(), KernelError> {
        let length = crate::error::volume("parameters", shape)?;
        match offset.checked_add(length) {
            Some(end) if end <= self.parameters => Ok(()),
            _ => Err(KernelError::Length {
                what: "parameters",
                expected: offset.saturating_add(length),
                found: self.parameters,
            }),
        }
    }
}
