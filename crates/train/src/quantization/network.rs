//! A network that computes as its integers will: all is rounded that they round, with running
//! statistics and ranges that no longer move. Numbers stay f32, so it tells rounding from mistakes of
//! integer arithmetic.
//!
//! TensorFlow's graph for evaluation differs in three points. It rounds weights by the ranges of the
//! last training step, which were measured before the last update; here the ranges are those of the
//! weights themselves, which may be averages of many steps. And it leaves biases and the pooled map
//! as they are.

use mobilenet_kernels::training::FakeQuantization;
use mobilenet_model::{MobileNetV1Config, TrainingPlan, TrainingPlanOptions};

use super::ranges::ActivationRanges;
use super::settings::Scheme;
use crate::error::TrainError;

/// A network with fake quantisation, to be evaluated.
#[derive(Debug)]
pub struct FakeQuantizedNetwork {
    plan: TrainingPlan,
    weights: Vec<f32>,
    ranges: ActivationRanges,
    /// Images, and logits, of a batch of the plan.
    images: Vec<f32>,
    logits: Vec<f32>,
    batch: usize,
}

impl FakeQuantizedNetwork {
    /// For images of `size`, of which `batch` are computed together. `weights` are in the order of
    /// the network's [`FlatLayout`](mobilenet_model::FlatLayout). `pixel` is the scale of the images'
    /// integers.
    ///
    /// # Errors
    /// If the network cannot be trained, or cannot take images of this size.
    #[expect(clippy::too_many_arguments, reason = "one value each")]
    pub fn new(
        config: &MobileNetV1Config,
        weights: Vec<f32>,
        ranges: ActivationRanges,
        scheme: Scheme,
        pixel: f32,
        size: [usize; 2],
        batch: usize,
        threads: usize,
    ) -> Result<Self, TrainError> {
        let options = TrainingPlanOptions {
            quantization: Some(FakeQuantization::Integers {
                scheme: scheme.into(),
                pixel,
            }),
            ..TrainingPlanOptions::new(size, batch, threads)
        };
        let plan = TrainingPlan::new(config, &options)?;
        TrainError::check_length("parameters", plan.layout().len(), weights.len())?;
        TrainError::check_length("ranges", plan.ranges_len(), ranges.biased.len())?;
        Ok(Self {
            images: vec![0.0; plan.images_len()],
            logits: vec![0.0; plan.logits_len()],
            plan,
            weights,
            ranges,
            batch,
        })
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.logits.len() / self.batch
    }

    /// Computes the logits of any number of images, `[images, height, width, channels]`.
    ///
    /// # Errors
    /// If a slice has the wrong length.
    pub fn run(&mut self, images: &[f32], logits: &mut [f32]) -> Result<(), TrainError> {
        let (image, classes) = (self.images.len() / self.batch, self.classes());
        let count = logits.len() / classes;
        TrainError::check_length("logits", count * classes, logits.len())?;
        TrainError::check_length("images", count * image, images.len())?;
        let batches = images.chunks(self.images.len());
        for (images, logits) in batches.zip(logits.chunks_mut(self.logits.len())) {
            // The rest of the last batch are images of before, whose logits nobody reads.
            self.images[..images.len()].copy_from_slice(images);
            let (weights, ranges) = (&self.weights, self.ranges.moving());
            // Only the logits are wanted of the pass.
            let _ = self.plan.forward_quantized(
                weights,
                ranges,
                &self.images,
                None,
                &mut self.logits,
            )?;
            logits.copy_from_slice(&self.logits[..logits.len()]);
        }
        Ok(())
    }
}
