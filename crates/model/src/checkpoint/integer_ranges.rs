//! TensorFlow's graphs and checkpoints of quantised training: weights in floats, and the ranges that
//! `create_training_graph` keeps beside them, which make integers of them.
//!
//! ```text
//! MobilenetV1/MobilenetV1/Conv2d_0/act_quant/min, .../max      of each activation
//! MobilenetV1/MobilenetV1/Conv2d_0/weights_quant/min, .../max  of weights with their batch norm
//! MobilenetV1/Logits/Conv2d_1c_1x1/...                         of the classifier
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use mobilenet_kernels::fake_quantization::WeightScheme;
use mobilenet_kernels::integer::IntegerNetwork;

use super::assemble::assemble;
use super::error::CheckpointError;
use super::metadata::Metadata;
use super::options::LoadOptions;
use super::readers::{NamedTensors, ReadError};
use crate::architecture::{LayerName, body_layers};
use crate::flat::FlatLayout;
use crate::quantized::Freeze;

/// Ends of the names of ranges.
const ACTIVATIONS: &str = "act_quant";
const WEIGHTS: &str = "weights_quant";

/// The classifier's last scope.
const CLASSIFIER: &str = "Conv2d_1c_1x1";

/// Ranges by their place, `Conv2d_0/act_quant`.
pub(super) struct Ranges(BTreeMap<String, [f32; 2]>);

impl Ranges {
    /// Those of a file, if it has any.
    pub(super) fn of(file: &NamedTensors) -> Option<Self> {
        let mut ranges = BTreeMap::new();
        for (name, tensor) in &file.tensors {
            let name = name.trim_end_matches(":0");
            let Some(scope) = name.strip_suffix("/min") else {
                continue;
            };
            if !scope.ends_with(ACTIVATIONS) && !scope.ends_with(WEIGHTS) {
                continue;
            }
            let number = |end: &str| {
                let tensor = file.tensors.get(&format!("{scope}{end}"));
                Some(tensor?.scalar()? as f32)
            };
            let most = number("/max").or_else(|| number("/max:0"));
            if let (Some(least), Some(most)) = (tensor.scalar(), most) {
                let parts: Vec<&str> = scope.rsplit('/').take(2).collect();
                let place = parts.into_iter().rev().collect::<Vec<_>>().join("/");
                ranges.insert(place, [least as f32, most]);
            }
        }
        (!ranges.is_empty()).then_some(Self(ranges))
    }

    /// The range of a layer's weights or activations.
    fn get(&self, layer: LayerName, what: &str) -> Option<[f32; 2]> {
        let scope = match layer {
            LayerName::Body(endpoint) => endpoint.to_string(),
            LayerName::Logits => CLASSIFIER.to_string(),
        };
        self.0.get(&format!("{scope}/{what}")).copied()
    }
}

/// Makes integers of a file's weights, as TensorFlow's converter does.
///
/// # Errors
/// If the file is no MobileNetV1 with batch normalisation, or lacks a range.
pub(super) fn freeze(
    path: &Path,
    file: NamedTensors,
    ranges: &Ranges,
    options: &LoadOptions,
) -> Result<(IntegerNetwork, Metadata), CheckpointError> {
    let checkpoint = assemble(path, file, options)?;
    let metadata = checkpoint.metadata;
    let config = metadata.config();
    let failed = |source| CheckpointError::Model {
        path: path.to_path_buf(),
        source: Box::new(source),
    };
    let body = body_layers(&config.base).map_err(failed)?;
    let layers = body.iter().map(|layer| LayerName::Body(layer.endpoint));
    let layers: Vec<LayerName> = layers.chain([LayerName::Logits]).collect();
    let range = |layer: &LayerName| {
        ranges.get(*layer, ACTIVATIONS).ok_or_else(|| {
            let problem = format!("{layer} has no `{ACTIVATIONS}/min` and `{ACTIVATIONS}/max`");
            CheckpointError::Read {
                path: path.to_path_buf(),
                source: ReadError::malformed("ranges of fake quantisation", problem),
            }
        })
    };
    let activations: Vec<[f32; 2]> = layers.iter().map(range).collect::<Result<_, _>>()?;
    // Without ranges of weights, these are measured.
    let of_weights = layers.iter().map(|&layer| ranges.get(layer, WEIGHTS));
    let of_weights: Option<Vec<[f32; 2]>> = of_weights.collect();
    let layout = FlatLayout::new(&config).map_err(failed)?;
    let freeze = Freeze {
        config: &config,
        weights: &layout.flatten(&checkpoint.parameters).map_err(failed)?,
        ranges: &activations,
        weight_ranges: of_weights.as_deref(),
        scheme: WeightScheme::PerTensor,
        size: metadata.preprocessing.size,
        pixels: metadata.preprocessing.range(),
    };
    let network = freeze.network().map_err(failed)?;
    Ok((network, metadata.to_folded()))
}
