//! The report at the end of a training.

use std::path::Path;

use crate::data::ImageDataset;
use crate::error::TrainError;
use crate::evaluation::EvaluationOutcome;
use crate::log::History;
use crate::recipe::Recipe;
use crate::report::{Report, worst_photos};

/// Writes the report of a training to a folder. `data` is the data set of its evaluation.
pub(super) fn write(
    folder: &Path,
    title: &str,
    recipe: &Recipe,
    history: &History,
    outcome: &EvaluationOutcome,
    data: &dyn ImageDataset,
) -> Result<(), TrainError> {
    let report = Report {
        title,
        recipe: &settings(recipe),
        history,
        evaluation: &outcome.evaluation,
        class_names: data.class_names(),
        worst: &worst_photos(&outcome.evaluation, data),
    };
    report.write(folder)
}

/// The recipe as names and values.
fn settings(recipe: &Recipe) -> Vec<(String, String)> {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(recipe) else {
        return Vec::new();
    };
    fields
        .into_iter()
        .map(|(name, value)| {
            let value = match value {
                serde_json::Value::String(text) => text,
                value => value.to_string(),
            };
            (name.replace('_', " "), value)
        })
        .collect()
}
