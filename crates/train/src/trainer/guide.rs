//! What the outputs of a shard should be, and how far they are from it.

use std::sync::Arc;

use mobilenet_model::InferencePlan;
use mobilenet_model::head::sigmoid;

use crate::data::Targets;
use crate::error::TrainError;
use crate::loss::{
    Loss, contrastive, direction_difference, sigmoid_cross_entropy, softmax_cross_entropy,
    squared_difference,
};
use crate::recipe::{Recipe, Target};

/// The recipe's target, with the network or the rows that it is learnt from.
#[derive(Debug)]
pub(super) struct Guide {
    target: Target,
    /// Images of a shard.
    images: usize,
    teacher: Option<InferencePlan>,
    /// By label.
    pub(super) rows: Option<Arc<Targets>>,
    /// What the outputs of the current shard should be.
    targets: Vec<f32>,
}

impl Guide {
    /// For shards with so many outputs.
    pub(super) fn new(
        recipe: &Recipe,
        outputs: usize,
        teacher: Option<InferencePlan>,
    ) -> Result<Self, TrainError> {
        let images = recipe.shard_size();
        let is_taught = match recipe.target {
            Target::Labels { .. } | Target::Contrast { .. } => false,
            Target::Teacher(_) | Target::Embedding => true,
            Target::Attributes | Target::Direction => teacher.is_some(),
        };
        let given = teacher.as_ref().map_or(0, InferencePlan::output_len);
        let expected = if is_taught { outputs / images } else { 0 };
        TrainError::check_length("the teacher's output", expected, given)?;
        let has_targets = !matches!(
            recipe.target,
            Target::Labels { .. } | Target::Contrast { .. }
        );
        Ok(Self {
            target: recipe.target,
            images,
            teacher,
            rows: None,
            targets: vec![0.0; if has_targets { outputs } else { 0 }],
        })
    }

    /// The loss of a shard, and its gradient of the outputs.
    pub(super) fn loss(
        &mut self,
        images: &[f32],
        outputs: &[f32],
        labels: &[u32],
        gradients: &mut [f32],
    ) -> Result<Loss, TrainError> {
        let width = outputs.len() / self.images;
        match (&mut self.teacher, &self.rows) {
            (Some(teacher), _) => teacher.run(images, &mut self.targets)?,
            (None, Some(rows)) => look_up(rows, labels, width, &mut self.targets)?,
            (None, None) => {
                TrainError::check_length("rows of targets", self.targets.len(), 0)?;
            }
        }
        let is_taught = self.teacher.is_some();
        let targets = &mut self.targets;
        match self.target {
            Target::Labels { label_smoothing } => {
                softmax_cross_entropy(outputs, labels, width, label_smoothing, gradients)
            }
            Target::Teacher(distillation) => {
                distillation.loss(outputs, targets, Some(labels), width, gradients)
            }
            Target::Embedding => squared_difference(outputs, targets, width, gradients),
            Target::Attributes => {
                if is_taught {
                    targets
                        .iter_mut()
                        .for_each(|one| *one = sigmoid(*one) as f32);
                }
                sigmoid_cross_entropy(outputs, targets, width, gradients)
            }
            Target::Direction => {
                if is_taught {
                    targets.chunks_mut(width.max(1)).for_each(scale_to_one);
                }
                direction_difference(outputs, targets, width, gradients)
            }
            Target::Contrast { temperature } => {
                contrastive(outputs, labels, width, temperature, gradients)
            }
        }
    }
}

fn look_up(
    rows: &Targets,
    labels: &[u32],
    width: usize,
    targets: &mut [f32],
) -> Result<(), TrainError> {
    if targets.is_empty() {
        return Ok(());
    }
    TrainError::check_length("targets of a photo", width, rows.width())?;
    let places = targets.chunks_mut(width.max(1)).zip(labels).enumerate();
    for (example, (target, &label)) in places {
        let row = rows.row(label as usize).ok_or(TrainError::Label {
            example,
            classes: rows.rows().count(),
            found: label,
        })?;
        target.copy_from_slice(row);
    }
    Ok(())
}

fn scale_to_one(row: &mut [f32]) {
    let square: f64 = row.iter().map(|&value| f64::from(value).powi(2)).sum();
    let length = square.sqrt().max(1e-12);
    row.iter_mut()
        .for_each(|value| *value = (f64::from(*value) / length) as f32);
}
