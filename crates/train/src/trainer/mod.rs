//! One network in training, one step at a time, without data sets, files or clocks.
//!
//! ```text
//! compute    of each shard: images -> forward -> loss -> backward; running statistics, ranges of
//!            activations; and the sum over this rank's shards
//! compute_together   also over all ranks, during the backward pass of the last shard
//! apply      mean over all shards -> clipping -> optimiser; running statistics -> moving average
//! ```

mod dropout;
mod guide;
mod share;
mod shared_values;
mod state;
mod statistics;

use share::check_finite;
pub(crate) use share::of_shard;
pub use share::{Share, StepOutcome};
pub use state::State;

use std::ops::Range;
use std::sync::Arc;

use mobilenet_compress::codes::Compressed;
use mobilenet_model::checkpoint::Metadata;
use mobilenet_model::little_endian::{bytes_of, values_of};
use mobilenet_model::{
    FlatLayout, InferencePlan, MobileNetV1Config, TrainingPlan, TrainingPlanOptions,
};

use crate::data::Targets;
use crate::error::TrainError;
use crate::optimizer::l2_loss;
use crate::parallel::{Communicator, Exchange, Shares, TreeSum, gather};
use crate::recipe::Recipe;
use guide::Guide;
use shared_values::SharedValues;
use statistics::{moving_statistics, never_rounded};

/// A network, its recipe and its state.
#[derive(Debug)]
pub struct Trainer {
    recipe: Recipe,
    config: MobileNetV1Config,
    options: TrainingPlanOptions,
    plan: TrainingPlan,
    state: State,
    guide: Guide,
    logits: Vec<f32>,
    logit_gradients: Vec<f32>,
    share: Share,
    tree: TreeSum,
    /// Ranges of the running statistics that move, among the weights.
    statistics: Vec<Range<usize>>,
    /// The statistics after the current shard, in their places.
    moved: Vec<f32>,
    exchange: Exchange,
    /// If the recipe compresses.
    shared: Option<SharedValues>,
}

/// Is told the losses of a rank's shards before their last backward pass, and says whether that is
/// wanted. It may ask the other ranks.
pub type Agree<'a> = dyn FnMut(&mut dyn Communicator, &[f64]) -> Result<bool, TrainError> + 'a;

/// What is done while the last shard is computed.
struct Together<'a, 'b> {
    communicator: &'a mut dyn Communicator,
    agree: &'a mut Agree<'b>,
}

impl Trainer {
    /// A trainer on `threads` threads. `teacher` computes logits (or features, for
    /// [`Target::Embedding`](crate::recipe::Target::Embedding)) of images in the recipe's resolution.
    ///
    /// # Errors
    /// If recipe, network and teacher do not fit each other.
    pub fn new(
        recipe: Recipe,
        config: &MobileNetV1Config,
        state: State,
        teacher: Option<InferencePlan>,
        threads: usize,
    ) -> Result<Self, TrainError> {
        recipe.check()?;
        let config = recipe.network(config.clone());
        let layout = FlatLayout::new(&config)?;
        let options = plan_options(&recipe, &layout, &state, threads);
        let plan = TrainingPlan::new(&config, &options)?;
        TrainError::check_length("parameters", layout.len(), state.weights.len())?;
        let ranges = state
            .ranges
            .as_ref()
            .map_or(0, |ranges| ranges.biased.len());
        TrainError::check_length("ranges of activations", plan.ranges_len(), ranges)?;
        let guide = Guide::new(&recipe, plan.logits_len(), teacher)?;
        let statistics = moving_statistics(&layout, &options);
        Ok(Self {
            logits: vec![0.0; plan.logits_len()],
            logit_gradients: vec![0.0; plan.logits_len()],
            share: Share::default(),
            tree: TreeSum::default(),
            statistics,
            moved: vec![0.0; state.weights.len()],
            exchange: Exchange::new(recipe.wire, never_rounded(&layout)),
            shared: SharedValues::new(&recipe, layout)?,
            recipe,
            config,
            options,
            plan,
            state,
            guide,
        })
    }

    /// The same, where labels are the numbers of rows of targets.
    #[must_use]
    pub fn with_targets(mut self, targets: Option<Arc<Targets>>) -> Self {
        self.guide.rows = targets;
        self
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Range of each parameter.
    pub fn layout(&self) -> &FlatLayout {
        self.plan.layout()
    }

    /// Logits of the last shard, `[images, classes]`.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// Does one step on images `[batch, resolution, resolution, channels]`.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] if the loss or the gradients' norm is not finite. Also if a slice
    /// has the wrong length, or a label is not a class. Nothing is changed then.
    pub fn step(&mut self, images: &[f32], labels: &[u32]) -> Result<StepOutcome, TrainError> {
        self.compute(images, labels, 0)?;
        let losses = std::mem::take(&mut self.share.losses);
        self.apply(&losses)
    }

    /// As [`Self::step`], but the images are this rank's part of the step's batch. The trainers of
    /// all ranks make the same update.
    ///
    /// # Errors
    /// As [`Self::step`], and if ranks cannot be reached, or not share out the shards.
    pub fn step_with(
        &mut self,
        images: &[f32],
        labels: &[u32],
        communicator: &mut dyn Communicator,
    ) -> Result<StepOutcome, TrainError> {
        let shares = Shares::new(self.recipe.shards, communicator.ranks())?;
        let first = shares.of(communicator.rank()).start;
        let mut losses = Vec::new();
        let mut agree = |communicator: &mut dyn Communicator, own: &[f64]| {
            losses = values_of(&gather(communicator, bytes_of(own))?.concat());
            Ok(true)
        };
        self.compute_together(images, labels, first, communicator, &mut agree)?;
        self.apply(&losses)
    }

    /// What the compressed file holds, if the recipe compresses.
    ///
    /// # Errors
    /// None for the metadata of the trainer's network.
    pub fn compressed(&self, metadata: &Metadata) -> Result<Option<Compressed>, TrainError> {
        let weights = self.state.best_weights();
        let shared = self.shared.as_ref();
        shared
            .map(|shared| shared.compressed(weights, metadata))
            .transpose()
    }

    /// What was computed last.
    pub fn share_mut(&mut self) -> &mut Share {
        &mut self.share
    }

    /// Computes the shards whose images these are, the first of which has the number `first`. The
    /// state stays as it is.
    ///
    /// # Errors
    /// If a slice has the wrong length, or a label is not a class. A loss that is not finite is an
    /// error of [`Self::apply`] only.
    pub fn compute(
        &mut self,
        images: &[f32],
        labels: &[u32],
        first: usize,
    ) -> Result<(), TrainError> {
        self.compute_shards(images, labels, first, None).map(|_| ())
    }

    /// The same, and sums over all ranks, while the last shard is computed. What `agree` refuses is
    /// not computed.
    ///
    /// # Errors
    /// As [`Self::compute`] before `agree` was asked, on this rank alone. Later if a rank cannot be
    /// reached.
    pub fn compute_together(
        &mut self,
        images: &[f32],
        labels: &[u32],
        first: usize,
        communicator: &mut dyn Communicator,
        agree: &mut Agree<'_>,
    ) -> Result<bool, TrainError> {
        if communicator.ranks() == 1 {
            self.compute(images, labels, first)?;
            return agree(communicator, &self.share.losses);
        }
        let together = Together {
            communicator: &mut *communicator,
            agree,
        };
        if !self.compute_shards(images, labels, first, Some(together))? {
            return Ok(false);
        }
        self.exchange.finish(communicator, &mut self.share.values)?;
        Ok(true)
    }

    /// Forgets what rounding between ranks has lost, as a training does that goes on from a
    /// checkpoint.
    pub fn forget_rounding(&mut self) {
        self.exchange.forget();
    }

    fn compute_shards(
        &mut self,
        images: &[f32],
        labels: &[u32],
        first: usize,
        mut together: Option<Together<'_, '_>>,
    ) -> Result<bool, TrainError> {
        self.plan_next_step()?;
        if let Some(shared) = &mut self.shared {
            shared.update(&self.state.weights)?;
        }
        let pixels = self.plan.images_len();
        let shards = labels.len() / self.recipe.shard_size();
        TrainError::check_length("labels", shards * self.recipe.shard_size(), labels.len())?;
        TrainError::check_length("images", shards * pixels, images.len())?;
        let last = std::mem::take(&mut self.share.values);
        self.tree.give_back(last);
        self.tree.clear();
        self.share.losses.clear();
        let images = images.chunks_exact(pixels);
        let labels = labels.chunks_exact(self.recipe.shard_size());
        for (number, (images, labels)) in (1..).zip(images.zip(labels)) {
            let mut values = self.tree.take();
            let together = together.take_if(|_| number == shards);
            let is_summed = together.is_some();
            let shard = first + number - 1;
            if !self.shard(images, labels, shard, &mut values, together)? {
                return Ok(false);
            }
            if is_summed {
                self.share.values = values;
                self.tree.clear();
                return Ok(true);
            }
            self.tree.push(values);
        }
        self.share.values = self.tree.finish();
        Ok(true)
    }

    /// Plans anew if a delay of the quantisation is over.
    fn plan_next_step(&mut self) -> Result<(), TrainError> {
        let layout = self.plan.layout();
        let options = plan_options(&self.recipe, layout, &self.state, self.options.threads);
        if options != self.options {
            self.plan = TrainingPlan::new(&self.config, &options)?;
            self.statistics = moving_statistics(self.plan.layout(), &options);
            self.options = options;
        }
        Ok(())
    }

    /// Computes one shard. The last one together with other ranks; then its values are the sums
    /// over all shards of this rank, and on their way. False if the ranks do not agree to go on.
    fn shard(
        &mut self,
        images: &[f32],
        labels: &[u32],
        shard: usize,
        values: &mut Vec<f32>,
        together: Option<Together<'_, '_>>,
    ) -> Result<bool, TrainError> {
        let shards = self.recipe.shards as u64;
        let dropout = dropout::draw(
            self.recipe.seed,
            self.state
                .step
                .wrapping_mul(shards)
                .wrapping_add(shard as u64),
            self.recipe.dropout_keep_prob,
            self.plan.features_len(),
        );
        let own = &self.state.weights;
        let weights = self.shared.as_ref().map_or(own, SharedValues::values);
        let (plan, dropout, logits) = (&mut self.plan, dropout.as_deref(), &mut self.logits);
        let pass = match &self.state.ranges {
            None => plan.forward(weights, images, dropout, logits),
            Some(ranges) => {
                plan.forward_quantized(weights, ranges.moving(), images, dropout, logits)
            }
        }?;
        let gradients = &mut self.logit_gradients;
        let loss = self.guide.loss(images, &self.logits, labels, gradients)?;
        of_shard(gradients, &self.recipe);
        self.share.losses.push(loss.mean);
        let moved = &mut self.moved;
        for range in &self.statistics {
            moved[range.clone()].copy_from_slice(&weights[range.clone()]);
        }
        pass.update_running_statistics(moved)?;
        let copy_statistics = |to: &mut [f32], within: Range<usize>| {
            let is_in = |range: &&Range<usize>| within.contains(&range.start);
            for range in self.statistics.iter().filter(is_in) {
                to[range.clone()].copy_from_slice(&moved[range.clone()]);
            }
        };
        let whole = weights.len();
        values.resize(whole + pass.ranges().len(), 0.0);
        values[whole..].copy_from_slice(pass.ranges());
        let Some(Together {
            communicator,
            agree,
        }) = together
        else {
            let gradients = &mut values[..whole];
            pass.backward(&self.logit_gradients, gradients)?;
            copy_statistics(gradients, 0..whole);
            return Ok(true);
        };
        if !agree(communicator, &self.share.losses)? {
            return Ok(false);
        }
        let (tree, exchange) = (&self.tree, &mut self.exchange);
        let (mut end, mut outcome) = (whole, Ok(()));
        let gradients = &mut values[..whole];
        let mut finished = |gradients: &mut [f32], start: usize| {
            let range = start..end;
            end = start;
            copy_statistics(gradients, range.clone());
            tree.add_to(range.clone(), gradients);
            if outcome.is_ok() {
                outcome = exchange.add(communicator, gradients, range);
            }
        };
        pass.backward_by_layers(&self.logit_gradients, gradients, &mut finished)?;
        outcome?;
        let ranges = whole..values.len();
        tree.add_to(ranges.clone(), values);
        exchange.add(communicator, values, ranges)?;
        Ok(true)
    }

    /// Updates the state by the share's values, which are now the sum over all shards, and by the
    /// losses of all shards.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] if the loss or the gradients' norm is not finite. Also if the
    /// number of values or losses is wrong. The state stays as it is then. The same error if the
    /// weights were not finite before.
    pub fn apply(&mut self, losses: &[f64]) -> Result<StepOutcome, TrainError> {
        let (state, statistics) = (&mut self.state, &self.statistics);
        self.share.apply(&self.recipe, state, statistics, losses)
    }

    /// Makes the share's values those that the optimiser takes. Returns the loss with L2.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub(crate) fn prepare(&mut self, losses: &[f64]) -> Result<f64, TrainError> {
        let (state, statistics) = (&self.state, &self.statistics);
        let loss = self
            .share
            .prepare(&self.recipe, state, statistics, losses)?;
        let total_loss = loss + l2_loss(&state.weights, state.optimizer.groups())?;
        check_finite(total_loss, state.step)?;
        Ok(total_loss)
    }

    /// Ranges of the running statistics that steps move.
    pub(crate) fn statistics(&self) -> &[Range<usize>] {
        &self.statistics
    }

    /// The state, to replace it.
    pub(crate) fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

/// How the next step is computed. It changes when a delay of the quantisation is over.
fn plan_options(
    recipe: &Recipe,
    layout: &FlatLayout,
    state: &State,
    threads: usize,
) -> TrainingPlanOptions {
    let steps = state.ranges.as_ref().map_or(0, |ranges| ranges.steps);
    let quantization = recipe.quantization;
    let frozen = quantization.is_some_and(|settings| settings.freezes_batch_norm(steps));
    TrainingPlanOptions {
        size: [recipe.resolution; 2],
        batch: recipe.shard_size(),
        threads,
        frozen_layers: recipe.frozen_layers(layout),
        frozen_batch_norm: recipe.frozen_batch_norm || frozen,
        quantization: quantization.map(|settings| settings.next(steps)),
    }
}
