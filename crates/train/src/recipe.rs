//! The settings of a training, except data and network. They are stored in its checkpoints, so that
//! a resumed training uses the same settings.

use mobilenet_compress::codes::CompressOptions;
use mobilenet_model::architecture::{LayerName, Parameter, Part};
use mobilenet_model::{FlatLayout, MobileNetV1Config};
use serde::{Deserialize, Serialize};

use crate::augment::Augmentation;
use crate::detection::settings::DetectionSettings;
use crate::error::TrainError;
use crate::loss::Distillation;
use crate::moving_average::MovingAverageConfig;
use crate::optimizer::{GradientClipping, OptimizerConfig, ParameterGroup};
use crate::parallel::Wire;
use crate::quantization::Quantization;
use crate::schedule::{ExponentialDecay, Schedule};

/// Which parameters are trained.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trainable {
    /// All of them.
    #[default]
    All,
    /// Parameters of layers whose names begin with one of these (slim's `trainable_scopes`), for
    /// example `Logits`. Layers before the first of them are frozen: they use their running
    /// statistics and need no backward pass.
    Scopes(Vec<String>),
}

/// What the network learns from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Target {
    /// Labels.
    Labels {
        /// Share of the probability that is spread evenly over all classes.
        label_smoothing: f64,
    },
    /// A teacher's logits, alone or mixed with labels (section 4.5 of the paper).
    Teacher(Distillation),
    /// A teacher's embedding, which the last layer learns to reproduce (section 4.7).
    Embedding,
    /// Probabilities of attributes, from the data or a teacher (section 4.5).
    Attributes,
    /// The direction of vectors, from the data or a teacher.
    Direction,
    /// Photos with the same label should have the same direction, others not. Photos of the same shard
    /// are compared.
    Contrast {
        /// Divisor of the cosines: the lower, the more the nearest others count.
        temperature: f64,
    },
}

impl Target {
    /// Photos of the same label attract each other, with the temperature of the loss's authors.
    pub const CONTRAST: Self = Self::Contrast { temperature: 0.1 };
}

/// A training's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Number of steps of the whole training.
    pub steps: u64,
    /// Number of images per step.
    pub batch_size: usize,
    /// Into how many shards the images of a step fall. Each has its own batch-norm statistics and
    /// gradient, whose means the step uses. Several ranks share out the shards.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub shards: usize,
    /// The number type of gradients on the way between ranks.
    #[serde(default, skip_serializing_if = "Wire::is_f32")]
    pub wire: Wire,
    /// Rows and columns of an image.
    pub resolution: usize,
    /// Seed of initial values, order, augmentation and dropout.
    pub seed: u64,
    /// The optimiser and its settings.
    pub optimizer: OptimizerConfig,
    /// Learning rate of each step.
    pub schedule: Schedule,
    /// L2 of the weights of convolutions and logits.
    pub weight_decay: f64,
    /// Whether weight decay includes depthwise weights. The paper advises against it.
    pub decay_depthwise: bool,
    /// Decay of batch normalisation: `running = running * decay + batch * (1 - decay)`. slim's
    /// 0.9997 needs tens of thousands of steps. Short runs need a smaller decay.
    pub batch_norm_decay: f64,
    /// Probability with which dropout keeps a pooled feature.
    pub dropout_keep_prob: f64,
    /// Average of the weights, which is evaluated and saved in their place.
    pub moving_average: Option<MovingAverageConfig>,
    /// Clipping of gradients.
    pub clipping: Option<GradientClipping>,
    /// Random changes of photos.
    pub augmentation: Augmentation,
    /// What the network learns from.
    pub target: Target,
    /// Which parameters are trained.
    pub trainable: Trainable,
    /// Whether all batch normalisation uses its running statistics.
    pub frozen_batch_norm: bool,
    /// Training for 8-bit integers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
    /// Training of a compressed file: the network computes with the few values that the file will
    /// hold. It is one of `Checkpoint::unfold`, whose normalisation stays as it is but for the bias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<CompressOptions>,
    /// Training of a detector, which has its own loss and random changes of photos.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection: Option<DetectionSettings>,
}

impl Recipe {
    /// `mobilenet_v1_train.py` for a number of steps: plain gradient descent at 0.045 with batches
    /// of 64, slim's staircase, weight decay and augmentation.
    pub fn slim(steps: u64) -> Self {
        Self {
            steps,
            batch_size: 64,
            shards: 1,
            wire: Wire::F32,
            resolution: mobilenet_model::DEFAULT_IMAGE_SIZE,
            seed: 0,
            optimizer: OptimizerConfig::Sgd,
            schedule: Schedule::Exponential(ExponentialDecay::slim(64)),
            weight_decay: 4e-5,
            decay_depthwise: false,
            batch_norm_decay: 0.9997,
            dropout_keep_prob: 0.999,
            moving_average: None,
            clipping: None,
            augmentation: Augmentation::SLIM,
            target: Target::Labels {
                label_smoothing: 0.0,
            },
            trainable: Trainable::All,
            frozen_batch_norm: false,
            quantization: None,
            compression: None,
            detection: None,
        }
    }

    /// Checks the ranges of numbers. Optimiser, average and loader check their own settings.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        let share = |setting, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => Err(TrainError::Setting {
                setting,
                range: "0 to 1",
                found: value.to_string(),
            }),
        };
        share("batch-norm decay", self.batch_norm_decay)?;
        share("dropout's keep probability", self.dropout_keep_prob)?;
        if self.dropout_keep_prob == 0.0 || !(0.0..f64::INFINITY).contains(&self.weight_decay) {
            return Err(TrainError::Setting {
                setting: "dropout's keep probability and weight decay",
                range: "above 0, and at least 0",
                found: format!("{} and {}", self.dropout_keep_prob, self.weight_decay),
            });
        }
        if self.compression.is_some() && (self.quantization.is_some() || !self.frozen_batch_norm) {
            return Err(TrainError::Setting {
                setting: "compression",
                range: "used with frozen batch norm, and without quantisation",
                found: "other settings".to_string(),
            });
        }
        if let Some(detection) = &self.detection {
            detection.loss.check()?;
        }
        if self.shards == 0 || !self.batch_size.is_multiple_of(self.shards) {
            return Err(TrainError::Setting {
                setting: "the number of shards",
                range: "a divisor of the batch size",
                found: format!("{} for batches of {}", self.shards, self.batch_size),
            });
        }
        if matches!(self.target, Target::Contrast { .. }) && self.shard_size() < 2 {
            return Err(TrainError::Setting {
                setting: "the photos of a shard, which are contrasted with each other",
                range: "at least 2",
                found: self.shard_size().to_string(),
            });
        }
        Ok(())
    }

    /// Number of images of a shard.
    pub fn shard_size(&self) -> usize {
        self.batch_size / self.shards
    }

    fn trains(&self, layer: LayerName) -> bool {
        match &self.trainable {
            Trainable::All => true,
            Trainable::Scopes(scopes) => {
                let name = layer.to_string();
                scopes.iter().any(|scope| name.starts_with(scope))
            }
        }
    }

    /// The parameters of a network as groups, in order.
    ///
    /// # Errors
    /// [`TrainError::Setting`] if a scope is not the beginning of any layer's name.
    pub fn groups(&self, layout: &FlatLayout) -> Result<Vec<ParameterGroup>, TrainError> {
        if let Trainable::Scopes(scopes) = &self.trainable {
            let names = || layout.entries().iter().map(|(p, _)| p.layer.to_string());
            let unknown = scopes
                .iter()
                .find(|scope| !names().any(|name| name.starts_with(scope.as_str())));
            if unknown.is_some() || scopes.is_empty() {
                return Err(TrainError::Setting {
                    setting: "trainable scopes",
                    range: "beginnings of layer names, such as Logits or Conv2d_13",
                    found: scopes.join(", "),
                });
            }
        }
        let group = |(parameter, range): &(Parameter, std::ops::Range<usize>)| {
            let is_bias = self.compression.is_some() && parameter.part == Part::Beta;
            let norm = is_batch_norm(parameter.part) && !is_bias;
            let frozen = !parameter.is_trainable()
                || !self.trains(parameter.layer)
                || (norm && self.frozen_batch_norm);
            let group = ParameterGroup::new(range.clone());
            if frozen {
                return group.frozen();
            }
            let decayed = parameter.part == Part::Weights
                && (self.decay_depthwise || !parameter.is_depthwise());
            group.with_weight_decay(if decayed {
                self.weight_decay as f32
            } else {
                0.0
            })
        };
        Ok(layout.entries().iter().map(group).collect())
    }

    /// Number of first layers of the body that are frozen, so that no gradient has to reach them.
    pub(crate) fn frozen_layers(&self, layout: &FlatLayout) -> usize {
        let mut layers: Vec<LayerName> = layout.entries().iter().map(|(p, _)| p.layer).collect();
        layers.dedup();
        let body = |layer: &&LayerName| matches!(layer, LayerName::Body(_));
        let frozen = |layer: &&LayerName| !self.trains(**layer);
        layers.iter().take_while(body).take_while(frozen).count()
    }

    /// The network's configuration with the settings of the recipe.
    pub fn network(&self, mut config: MobileNetV1Config) -> MobileNetV1Config {
        let scope = &mut config.base.arg_scope;
        if let mobilenet_model::Normalizer::BatchNorm(batch_norm) = &mut scope.normalizer {
            batch_norm.decay = self.batch_norm_decay;
        }
        config
    }
}

fn one() -> usize {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_one(number: &usize) -> bool {
    *number == 1
}

fn is_batch_norm(part: Part) -> bool {
    matches!(
        part,
        Part::Gamma | Part::Beta | Part::MovingMean | Part::MovingVariance
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> FlatLayout {
        FlatLayout::new(&MobileNetV1Config::with_width(0.25)).unwrap()
    }

    #[test]
    fn decay_is_for_full_and_pointwise_weights() {
        let layout = layout();
        let groups = Recipe::slim(1).groups(&layout).unwrap();
        for ((parameter, range), group) in layout.entries().iter().zip(groups) {
            assert_eq!(group.range, *range);
            let name = parameter.name();
            assert_eq!(group.trainable, !name.contains("running"), "{name}");
            let decayed = name.ends_with("weight")
                && !name.contains("depthwise")
                && !name.contains("batch_norm");
            assert_eq!(
                group.weight_decay,
                if decayed { 4e-5 } else { 0.0 },
                "{name}"
            );
        }
    }

    #[test]
    fn scopes_freeze_what_comes_before_them() {
        let layout = layout();
        let scopes = |names: &[&str]| Recipe {
            trainable: Trainable::Scopes(names.iter().map(|n| n.to_string()).collect()),
            ..Recipe::slim(1)
        };
        assert_eq!(Recipe::slim(1).frozen_layers(&layout), 0);
        assert_eq!(scopes(&["Logits"]).frozen_layers(&layout), 27);
        assert_eq!(scopes(&["Conv2d_13", "Logits"]).frozen_layers(&layout), 25);
        let trained: usize = scopes(&["Logits"])
            .groups(&layout)
            .unwrap()
            .iter()
            .filter(|group| group.trainable)
            .map(|group| group.range.len())
            .sum();
        assert_eq!(trained, 1000 * 256 + 1000);
        assert!(scopes(&["Nothing"]).groups(&layout).is_err());
        assert!(scopes(&[]).groups(&layout).is_err());
    }
}
