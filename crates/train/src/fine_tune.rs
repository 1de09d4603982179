//! Adapts trained weights to other classes, as initial weights of a training.

use mobilenet_model::architecture::LOGITS_LAYER;
use mobilenet_model::array::ShapeError;
use mobilenet_model::checkpoint::Checkpoint;
use mobilenet_model::labels::Labels;
use mobilenet_model::{Array, ModelError};

use crate::error::TrainError;

/// What to do with the classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logits {
    /// Keep it. The number of classes must be the same.
    Keep,
    /// Initialise it anew (slim's `checkpoint_exclude_scopes`).
    Exclude,
    /// Keep the rows of classes with the same names, and initialise the others anew.
    Slice,
    /// Take it away: the pooled features are the output.
    Remove,
}

/// Weights for the classes of a data set, and the number of classes that kept their row.
///
/// # Errors
/// With [`Logits::Keep`], if the weights have another number of classes.
pub fn adapt(
    checkpoint: Checkpoint,
    class_names: &[String],
    logits: Logits,
    seed: u64,
) -> Result<(Checkpoint, usize), TrainError> {
    let classes = class_names.len();
    let old_classes = checkpoint.metadata.classes.unwrap_or(0);
    let (mut adapted, kept) = match logits {
        Logits::Remove => return Ok((checkpoint.with_classes(None, seed)?, 0)),
        Logits::Keep if old_classes != classes => {
            return Err(TrainError::Setting {
                setting: "classes of the initial weights",
                range: "those of the data, unless the logits are excluded or sliced",
                found: format!("{old_classes} instead of {classes}"),
            });
        }
        Logits::Keep => (checkpoint, classes),
        Logits::Exclude => (checkpoint.with_classes(Some(classes), seed)?, 0),
        Logits::Slice => {
            let rows = matching_rows(&checkpoint.metadata.labels, old_classes, class_names);
            let old = checkpoint.parameters.clone();
            let mut adapted = checkpoint.with_classes(Some(classes), seed)?;
            for part in ["weight", "bias"] {
                let name = format!("{LOGITS_LAYER}.{part}");
                if let (Some(old), Some(new)) = (old.get(&name), adapted.parameters.get(&name)) {
                    let sliced = slice(old, new, &rows).map_err(ModelError::from)?;
                    adapted.parameters.insert(name, sliced);
                }
            }
            let kept = rows.iter().flatten().count();
            (adapted, kept)
        }
    };
    adapted.metadata.labels = Labels::Names(class_names.to_vec());
    Ok((adapted, kept))
}

/// For each name, the old class with this name. ImageNet's labels list synonyms after commas.
fn matching_rows(labels: &Labels, old_classes: usize, names: &[String]) -> Vec<Option<usize>> {
    let plain = |name: &str| name.trim().replace(['_', '-'], " ").to_lowercase();
    let row = |name: &String| {
        (0..old_classes).find(|&class| {
            let label = labels.name(class, old_classes).unwrap_or_default();
            label
                .split(',')
                .chain([label])
                .any(|synonym| plain(synonym) == plain(name))
        })
    };
    names.iter().map(row).collect()
}

/// For each class the old row if there is one, otherwise the new row.
fn slice(old: &Array, new: &Array, rows: &[Option<usize>]) -> Result<Array, ShapeError> {
    let length = new.values().len() / rows.len().max(1);
    let mut values = Vec::with_capacity(new.values().len());
    for (class, row) in rows.iter().enumerate() {
        let (from, row) = match row {
            Some(row) => (old, *row),
            None => (new, class),
        };
        values.extend_from_slice(&from.values()[row * length..][..length]);
    }
    Array::new(new.shape(), values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mobilenet_model::MobileNetV1Config;
    use mobilenet_model::checkpoint::{LoadReport, Metadata};
    use mobilenet_model::initialize::random_parameters;
    use mobilenet_model::preprocess::Preprocessing;

    fn checkpoint(names: &[&str]) -> Checkpoint {
        let mut metadata = Metadata::new(Preprocessing::slim(32));
        metadata.width = 0.25;
        metadata.classes = Some(names.len());
        metadata.labels = Labels::Names(names.iter().map(|name| name.to_string()).collect());
        let config: MobileNetV1Config = metadata.config();
        Checkpoint {
            parameters: random_parameters(&config, 1).unwrap(),
            metadata,
            report: LoadReport::default(),
        }
    }

    fn rows(checkpoint: &Checkpoint, part: &str) -> Vec<Vec<f32>> {
        let tensor = &checkpoint.parameters[&format!("{LOGITS_LAYER}.{part}")];
        let length = tensor.values().len() / tensor.shape()[0];
        tensor
            .values()
            .chunks(length)
            .map(<[f32]>::to_vec)
            .collect()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn slicing_keeps_the_rows_of_known_names() {
        let old = checkpoint(&["tabby, tabby cat", "sea lion", "daisy"]);
        let wanted = names(&["Daisy", "rose", "sea_lion", "tabby cat"]);
        let (new, kept) = adapt(old.clone(), &wanted, Logits::Slice, 7).unwrap();
        assert_eq!(kept, 3);
        assert_eq!(new.metadata.labels, Labels::Names(wanted));
        let (before, after) = (rows(&old, "weight"), rows(&new, "weight"));
        assert_eq!(
            [&after[0], &after[2], &after[3]],
            [&before[2], &before[1], &before[0]]
        );
        assert!(!before.contains(&after[1]));
        mobilenet_model::PlanWeights::new(&new.metadata.config(), &new.parameters).unwrap();
    }

    #[test]
    fn excluded_logits_are_new_and_kept_ones_must_fit() {
        let old = checkpoint(&["a", "b"]);
        let (new, kept) = adapt(old.clone(), &names(&["a", "b"]), Logits::Exclude, 7).unwrap();
        assert_eq!(kept, 0);
        assert_ne!(rows(&new, "weight"), rows(&old, "weight"));
        let (same, _) = adapt(old.clone(), &names(&["x", "y"]), Logits::Keep, 7).unwrap();
        assert_eq!(rows(&same, "weight"), rows(&old, "weight"));
        let (without, _) = adapt(old.clone(), &[], Logits::Remove, 7).unwrap();
        assert_eq!(without.metadata.classes, None);
        assert_eq!(without.parameters.len() + 2, old.parameters.len());
        let error = adapt(old, &names(&["a"]), Logits::Keep, 7).unwrap_err();
        assert!(error.to_string().contains("2 instead of 1"), "{error}");
    }
}
