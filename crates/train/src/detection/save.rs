//! Writes a trained detector: safetensors with the names and the order of TensorFlow's variables, which
//! every reader of such detectors reads.

use std::collections::HashMap;
use std::path::Path;

use mobilenet_detect::DetectorDescription;
use mobilenet_detect::description::KEY;
use mobilenet_kernels::ConvKind;
use mobilenet_model::architecture::Part;
use mobilenet_model::little_endian::bytes_of;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::layout::{SsdLayout, SsdParameter};
use crate::error::TrainError;
use crate::file::write_atomically;
use crate::layout::ParameterLayout;

/// Writes weights by their layout, and what describes them.
///
/// # Errors
/// If the number of weights is wrong, or the file cannot be written.
pub fn save(
    path: &Path,
    layout: &SsdLayout,
    weights: &[f32],
    description: &DetectorDescription,
) -> Result<(), TrainError> {
    write_atomically(path, &to_bytes(path, layout, weights, description)?)
}

/// The bytes of that file.
pub(super) fn to_bytes(
    path: &Path,
    layout: &SsdLayout,
    weights: &[f32],
    description: &DetectorDescription,
) -> Result<Vec<u8>, TrainError> {
    TrainError::check_length("parameters", layout.values(), weights.len())?;
    let tensors = layout.parameters().iter().map(|parameter| {
        let (shape, values) = in_tensorflows_order(parameter, &weights[parameter.range()]);
        (parameter.name(), shape, bytes_of(&values))
    });
    let tensors: Vec<(&str, Vec<usize>, Vec<u8>)> = tensors.collect();
    let mut views = Vec::with_capacity(tensors.len());
    for (name, shape, bytes) in &tensors {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        views.push((*name, view.map_err(TrainError::write(path))?));
    }
    let text = serde_json::to_string(description).map_err(TrainError::write(path))?;
    let metadata = HashMap::from([(KEY.to_string(), text)]);
    safetensors::serialize(views, Some(metadata)).map_err(TrainError::write(path))
}

/// Weights as `[rows, columns, in, out]`, or `[rows, columns, channels, 1]` of a depthwise layer.
fn in_tensorflows_order(parameter: &SsdParameter, values: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let shape = &parameter.shape;
    let [rows, columns] = shape.geometry.kernel;
    if parameter.part != Part::Weights {
        return (vec![values.len()], values.to_vec());
    }
    let (inputs, outputs) = match shape.kind {
        ConvKind::Conv => (shape.in_channels, shape.out_channels),
        ConvKind::Depthwise => (shape.out_channels, 1),
    };
    let dimensions = vec![rows, columns, inputs, outputs];
    if parameter.taps_first {
        return (dimensions, values.to_vec());
    }
    let taps = rows * columns;
    let place = |index: usize| {
        let (output, input, tap) = (
            index % outputs,
            index / outputs % inputs,
            index / outputs / inputs,
        );
        match shape.kind {
            ConvKind::Conv => (output * inputs + input) * taps + tap,
            ConvKind::Depthwise => input * taps + tap,
        }
    };
    (
        dimensions,
        (0..values.len())
            .map(|index| values[place(index)])
            .collect(),
    )
}
