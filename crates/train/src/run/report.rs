//! The report at the end of a training.

use std::path::Path;

use mobilenet_model::checkpoint::Checkpoint;
use mobilenet_model::explain::Explainer;

use crate::data::ImageDataset;
use crate::error::TrainError;
use crate::evaluation::EvaluationOutcome;
use crate::log::History;
use crate::recipe::Recipe;
use crate::report::settings::settings;
use crate::report::{Report, worst_photos};

/// Writes the report of a training to a folder. `data` is the data set of its evaluation.
pub(super) fn write(
    folder: &Path,
    title: &str,
    recipe: &Recipe,
    history: &History,
    outcome: &EvaluationOutcome,
    data: &dyn ImageDataset,
    weights: &Checkpoint,
) -> Result<(), TrainError> {
    let report = Report {
        title,
        recipe: &settings(recipe),
        history,
        evaluation: &outcome.evaluation,
        class_names: data.class_names(),
        worst: &worst_photos(&outcome.evaluation, data, Explainer::new(weights, 1).ok()),
    };
    report.write(folder)
}
