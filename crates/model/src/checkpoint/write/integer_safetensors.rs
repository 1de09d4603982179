//! Writes a network of integers as safetensors: its structure as JSON in the header, and its
//! integers under our names and in our layout, so that they can be read as numbers too.

use std::path::Path;

use mobilenet_kernels::ConvKind;
use mobilenet_kernels::integer::{
    IntegerNetwork, IntegerOperation, Integers, QuantizedConvolution, ValueKind,
};
use safetensors::Dtype;

use super::safetensors::Header;
use crate::array::Array;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::integer_structure::{
    ACTIVATION_SCALES, KEY as STRUCTURE, LayerStructure, Rounding, Structure, Values,
};
use crate::checkpoint::layout::Layout;
use crate::checkpoint::metadata::{KEY, Metadata};
use crate::file::write_atomically;
use crate::little_endian::bytes_of;

/// Writes a network of integers and its metadata, which has the rule from a photo to the input. The
/// same network always gives the same bytes. An existing file is replaced atomically.
///
/// # Errors
/// If the network breaks the rules of networks of integers, or the file cannot be written.
pub fn save_integer_safetensors(
    path: &Path,
    network: &IntegerNetwork,
    metadata: &Metadata,
) -> Result<(), CheckpointError> {
    let failed = |problem: String| CheckpointError::Write {
        path: path.to_path_buf(),
        problem,
    };
    let bytes = serialize(network, metadata).map_err(failed)?;
    write_atomically(path, &bytes).map_err(|error| failed(error.to_string()))
}

fn serialize(network: &IntegerNetwork, metadata: &Metadata) -> Result<Vec<u8>, String> {
    let [rows, columns, channels] = network.input_shape;
    let shapes = network
        .shapes([rows, columns])
        .map_err(|error| error.to_string())?;
    let (input, scale) = Values::of(network.input);
    let mut scales = vec![scale];
    let layers = network.layers.iter().map(|layer| {
        let (output, scale) = Values::of(layer.output);
        scales.push(scale);
        LayerStructure {
            name: layer.name.clone(),
            operation: (&layer.operation).into(),
            output,
        }
    });
    let structure = Structure {
        arithmetic: Rounding::Xnnpack,
        input_shape: network.input_shape,
        input,
        layers: layers.collect(),
    };
    let json = |error: serde_json::Error| error.to_string();
    let mut header = Header::new([
        (
            KEY,
            serde_json::to_string(&metadata.to_folded()).map_err(json)?,
        ),
        (STRUCTURE, serde_json::to_string(&structure).map_err(json)?),
    ]);
    header.add(
        ACTIVATION_SCALES,
        Dtype::F32,
        &[scales.len()],
        &bytes_of(&scales),
    );

    let (mut input, mut channels) = (network.input, channels);
    for (layer, shape) in network.layers.iter().zip(shapes) {
        if let (IntegerOperation::Convolution(convolution), ValueKind::Quantized(input)) =
            (&layer.operation, input)
        {
            add(&mut header, &layer.name, convolution, input.scale, channels)
                .map_err(|problem| format!("{}: {problem}", layer.name))?;
        }
        (input, channels) = (layer.output, shape[2]);
    }
    header.finish()
}

fn add(
    header: &mut Header,
    name: &str,
    convolution: &QuantizedConvolution,
    input_scale: f32,
    channels: usize,
) -> Result<(), String> {
    let [rows, columns] = convolution.geometry.kernel;
    let outputs = convolution.out_channels;
    let (layout, shape) = match convolution.kind {
        ConvKind::Conv => (Layout::Ohwi, [outputs, channels, rows, columns]),
        ConvKind::Depthwise => (Layout::OneHwc, [outputs, 1, rows, columns]),
    };
    let weights = &convolution.weights;
    let (dtype, bytes) = match &weights.values {
        Integers::U8(values) => (Dtype::U8, values.clone()),
        Integers::I8(values) => (Dtype::I8, values.iter().map(|&value| value as u8).collect()),
    };
    let bytes = Array::new(layout.source_shape(&shape, 1), bytes)
        .and_then(|array| layout.to_ours(array, &shape))
        .map_err(|error| error.to_string())?;
    let count = weights.scales.len();
    let unit: Vec<f32> = weights
        .scales
        .iter()
        .map(|scale| input_scale * scale)
        .collect();
    header.add(&format!("{name}.weight"), dtype, &shape, bytes.values());
    header.add(
        &format!("{name}.weight.scale"),
        Dtype::F32,
        &[count],
        &bytes_of(&weights.scales),
    );
    let zero_points = bytes_of(&weights.zero_points);
    header.add(
        &format!("{name}.weight.zero_point"),
        Dtype::I32,
        &[count],
        &zero_points,
    );
    header.add(
        &format!("{name}.bias"),
        Dtype::I32,
        &[outputs],
        &bytes_of(&convolution.bias),
    );
    header.add(
        &format!("{name}.bias.scale"),
        Dtype::F32,
        &[count],
        &bytes_of(&unit),
    );
    Ok(())
}
