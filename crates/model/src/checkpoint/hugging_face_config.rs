//! Hugging Face's `config.json` and `preprocessor_config.json`, which hold what the tensors do not
//! say.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::draft::Draft;
use super::error::CheckpointError;
use super::metadata::SavedActivation;
use crate::config::PaddingRule;
use crate::labels::Labels;
use crate::preprocess::{CropRounding, Filter, Preprocessing, Resize};

/// Far more than either file takes.
const MOST_BYTES: u64 = 4 << 20;

#[derive(Deserialize)]
struct ModelConfig {
    model_type: Option<String>,
    depth_multiplier: Option<f64>,
    min_depth: Option<usize>,
    hidden_act: Option<String>,
    tf_padding: Option<bool>,
    layer_norm_eps: Option<f64>,
    image_size: Option<usize>,
    id2label: Option<BTreeMap<usize, String>>,
}

#[derive(Deserialize)]
struct ProcessorConfig {
    size: Option<Size>,
    crop_size: Option<Size>,
    do_center_crop: Option<bool>,
    resample: Option<u32>,
    image_mean: Option<Vec<f32>>,
    image_std: Option<Vec<f32>>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum Size {
    Edge { shortest_edge: usize },
    Both { height: usize, width: usize },
    Side(usize),
}

/// Overwrites the draft with what `config.json` in `folder` says, where it is there.
pub(super) fn apply_model(folder: &Path, draft: &mut Draft) -> Result<(), CheckpointError> {
    let config_path = folder.join("config.json");
    let Some(config) = model_config(&config_path)? else {
        return Ok(());
    };
    let said = config.hidden_act.as_deref().unwrap_or("relu6");
    draft.set_activation(SavedActivation::of_name(said).ok_or_else(|| {
        let problem = format!("activation `{said}` is not supported, only relu6 and relu");
        reject(&config_path, "hidden_act", problem)
    }));
    let metadata = &mut draft.metadata;
    metadata.width = config.depth_multiplier.unwrap_or(metadata.width);
    metadata.min_depth = config.min_depth.unwrap_or(metadata.min_depth);
    metadata.batch_norm_epsilon = config.layer_norm_eps.unwrap_or(metadata.batch_norm_epsilon);
    if config.tf_padding == Some(false) {
        metadata.padding = PaddingRule::Explicit;
    }
    if let Some(side) = config.image_size {
        metadata.preprocessing = Preprocessing::hugging_face(side);
    }
    if let Some(labels) = config.id2label {
        metadata.labels = labels_of(labels);
    }
    Ok(())
}

/// Overwrites the draft with what `preprocessor_config.json` in `folder` says, where it and
/// `config.json` are there.
pub(super) fn apply_processor(folder: &Path, draft: &mut Draft) -> Result<(), CheckpointError> {
    if model_config(&folder.join("config.json"))?.is_none() {
        return Ok(());
    }
    let processor_path = folder.join("preprocessor_config.json");
    let Some(processor) = read::<ProcessorConfig>(&processor_path)? else {
        return Ok(());
    };
    let preprocessing = &mut draft.metadata.preprocessing;
    preprocessing.mean = processor.image_mean.unwrap_or(preprocessing.mean.clone());
    preprocessing.std = processor.image_std.unwrap_or(preprocessing.std.clone());
    match processor.crop_size {
        Some(Size::Both { height, width }) => preprocessing.size = [height, width],
        Some(
            Size::Side(side)
            | Size::Edge {
                shortest_edge: side,
            },
        ) => {
            preprocessing.size = [side, side];
        }
        None => {}
    }
    let edge = match processor.size {
        Some(Size::Edge { shortest_edge } | Size::Side(shortest_edge)) => shortest_edge,
        Some(Size::Both { .. }) => {
            let problem = "a fixed size is not supported, only shortest_edge".to_string();
            return Err(reject(&processor_path, "size", problem));
        }
        None => return Ok(()),
    };
    if processor.do_center_crop == Some(false) {
        let problem = "resizing without a centre crop is not supported".to_string();
        return Err(reject(&processor_path, "do_center_crop", problem));
    }
    preprocessing.resize = Resize::ShortestEdge {
        edge,
        // Pillow's numbers of filters.
        filter: match processor.resample {
            None | Some(2) => Filter::Bilinear,
            Some(3) => Filter::Bicubic,
            Some(other) => {
                let problem = format!("filter {other} is not supported, only 2 and 3");
                return Err(reject(&processor_path, "resample", problem));
            }
        },
        rounding: CropRounding::Down,
    };
    Ok(())
}

/// The configuration, where there is one and it is of this architecture.
fn model_config(path: &Path) -> Result<Option<ModelConfig>, CheckpointError> {
    let config = read::<ModelConfig>(path)?;
    Ok(config.filter(|config| config.model_type.as_deref() == Some("mobilenet_v1")))
}

fn reject(path: &Path, key: &str, problem: String) -> CheckpointError {
    CheckpointError::Metadata {
        path: path.to_path_buf(),
        key: key.to_string(),
        problem,
    }
}

/// transformers writes `LABEL_0`, `LABEL_1`, ... where nobody gave names.
fn labels_of(labels: BTreeMap<usize, String>) -> Labels {
    let complete = labels.keys().copied().eq(0..labels.len());
    let given = labels.iter().any(|(i, name)| *name != format!("LABEL_{i}"));
    if complete && given {
        Labels::Names(labels.into_values().collect())
    } else {
        Labels::for_classes(labels.len())
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, CheckpointError> {
    let io = |source| CheckpointError::Io {
        path: path.to_path_buf(),
        source,
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let mut text = String::new();
    file.take(MOST_BYTES)
        .read_to_string(&mut text)
        .map_err(io)?;
    let parsed = serde_json::from_str(&text).map_err(|error| CheckpointError::Metadata {
        path: path.to_path_buf(),
        key: "JSON".to_string(),
        problem: error.to_string(),
    })?;
    Ok(Some(parsed))
}
