//! One detector in training, one step at a time, without data sets, files or clocks.
//!
//! ```text
//! compute    of each shard: images -> network -> loss -> gradients, running statistics; and the sum
//!            over this rank's shards
//! compute_together   then over all ranks
//! apply      mean over all shards -> clipping -> optimiser; running statistics -> moving average
//! ```
//!
//! The loss of a shard is divided by the anchors with an object in that shard, as each replica of
//! TensorFlow's Object Detection API divides its own. So a shard computes what a batch of its photos
//! would, and needs no message from the others before its backward pass. The step's loss is the mean of
//! its shards': with several shards an object among few others counts more than one among many.

use mobilenet_detect::SsdConfig;
use mobilenet_detect::coder::BoxCoder;

use super::layout::SsdLayout;
use super::loss::DetectorLoss;
use super::network::{NetworkOptions, SsdNetwork};
use super::targets::{Matcher, Targets};
use crate::data::annotations::Object;
use crate::error::TrainError;
use crate::parallel::{Communicator, Exchange, TreeSum};
use crate::recipe::Recipe;
use crate::trainer::{Agree, Share, State, StepOutcome, of_shard};

/// A detector, its recipe and its state.
#[derive(Debug)]
pub struct DetectorTrainer {
    recipe: Recipe,
    loss: DetectorLoss,
    network: SsdNetwork,
    matcher: Matcher,
    state: State,
    share: Share,
    tree: TreeSum,
    exchange: Exchange,
}

impl DetectorTrainer {
    /// A trainer on `threads` threads.
    ///
    /// # Errors
    /// If recipe, network and state do not fit each other.
    pub fn new(
        recipe: Recipe,
        config: &SsdConfig,
        state: State,
        threads: usize,
    ) -> Result<Self, TrainError> {
        recipe.check()?;
        let settings = recipe
            .detection
            .ok_or_else(|| refused("the recipe", "that of a detector"))?;
        if recipe.quantization.is_some() {
            return Err(refused("training for integers", "that of a classifier"));
        }
        if config.size != [recipe.resolution; 2] {
            return Err(refused("the size of the images", "that of the network"));
        }
        let layout = SsdNetwork::layout_of(config)?;
        let options = NetworkOptions {
            batch: recipe.shard_size(),
            threads,
            frozen_layers: layout.frozen_layers(&recipe),
            frozen_batch_norm: recipe.frozen_batch_norm,
            decay: recipe.batch_norm_decay,
        };
        let network = SsdNetwork::new(config, options)?;
        let matcher = Matcher::new(config.anchors()?, BoxCoder::default(), settings.overlap)?;
        Ok(Self {
            exchange: Exchange::new(recipe.wire, layout.running_statistics()),
            share: Share::default(),
            tree: TreeSum::default(),
            loss: settings.loss,
            recipe,
            network,
            matcher,
            state,
        })
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The layout of the parameters.
    pub fn layout(&self) -> &SsdLayout {
        self.network.layout()
    }

    /// Does one step on images `[batch, resolution, resolution, 3]` with their objects.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] if the loss or the gradients' norm is not finite. Also if a slice has
    /// the wrong length, or a class is none of the network's. Nothing is changed then.
    pub fn step(
        &mut self,
        images: &[f32],
        objects: &[Vec<Object>],
    ) -> Result<StepOutcome, TrainError> {
        self.compute(images, objects)?;
        let losses = std::mem::take(&mut self.share.losses);
        self.apply(&losses)
    }

    /// Computes the shards whose images these are. The state stays as it is.
    ///
    /// # Errors
    /// If a slice has the wrong length, or a class is none of the network's.
    pub fn compute(&mut self, images: &[f32], objects: &[Vec<Object>]) -> Result<(), TrainError> {
        let (pixels, photos) = (self.network.images_len(), self.recipe.shard_size());
        let shards = objects.len() / photos;
        TrainError::check_length("photos with objects", shards * photos, objects.len())?;
        TrainError::check_length("images", shards * pixels, images.len())?;
        let last = std::mem::take(&mut self.share.values);
        self.tree.give_back(last);
        self.tree.clear();
        self.share.losses.clear();
        let shards = images
            .chunks_exact(pixels)
            .zip(objects.chunks_exact(photos));
        for (images, objects) in shards {
            let mut values = self.tree.take();
            values.resize(self.state.weights.len(), 0.0);
            let loss = self.shard(images, objects, &mut values)?;
            self.share.losses.push(loss);
            self.tree.push(values);
        }
        self.share.values = self.tree.finish();
        Ok(())
    }

    /// The loss of a shard. Writes its gradients, and running statistics in their places.
    fn shard(
        &mut self,
        images: &[f32],
        objects: &[Vec<Object>],
        values: &mut [f32],
    ) -> Result<f64, TrainError> {
        let (loss, matcher, recipe) = (&self.loss, &self.matcher, &self.recipe);
        let targets: Vec<Targets> = objects.iter().map(|one| matcher.targets(one)).collect();
        let of_shard = self.network.gradients(
            &self.state.weights,
            images,
            |predictions, gradients| {
                let loss = loss.of_batch(matcher, &targets, predictions, gradients)?;
                of_shard(&mut gradients.scores, recipe);
                of_shard(gradients.encodings.as_flattened_mut(), recipe);
                Ok(loss)
            },
            values,
        )?;
        Ok(of_shard.total())
    }

    /// As [`Self::compute`], and then sums over all ranks if `agree`, which gets the losses, wants it.
    ///
    /// # Errors
    /// As [`Self::compute`] before `agree` was asked, on this rank alone. Later if a rank cannot be
    /// reached.
    pub fn compute_together(
        &mut self,
        images: &[f32],
        objects: &[Vec<Object>],
        communicator: &mut dyn Communicator,
        agree: &mut Agree<'_>,
    ) -> Result<bool, TrainError> {
        self.compute(images, objects)?;
        if !agree(communicator, &self.share.losses)? {
            return Ok(false);
        }
        if communicator.ranks() > 1 {
            self.exchange.sum(communicator, &mut self.share.values)?;
        }
        Ok(true)
    }

    /// Updates the state by the sum over all shards, and by the losses of all shards.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] if the loss or the gradients' norm is not finite. Also if the number
    /// of losses is wrong. The state stays as it is then. The same error if the weights were not finite
    /// before.
    pub fn apply(&mut self, losses: &[f64]) -> Result<StepOutcome, TrainError> {
        let (state, statistics) = (&mut self.state, self.network.statistics());
        self.share.apply(&self.recipe, state, statistics, losses)
    }

    /// Forgets what rounding between ranks has lost, as a training does that goes on from a
    /// checkpoint.
    pub fn forget_rounding(&mut self) {
        self.exchange.forget();
    }
}

fn refused(setting: &'static str, range: &'static str) -> TrainError {
    TrainError::Setting {
        setting,
        range,
        found: "another".to_string(),
    }
}
