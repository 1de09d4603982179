//! A network of integers from the tensors and the structure of our own safetensors.

use mobilenet_kernels::ConvKind;
use mobilenet_kernels::integer::{
    IntegerLayer, IntegerNetwork, IntegerOperation, Integers, QuantizedConvolution,
    QuantizedWeights,
};

use super::integer_structure::{
    ACTIVATION_SCALES, KEY, LayerStructure, OperationStructure, Structure,
};
use super::layout::Layout;
use super::readers::{NamedTensors, RawTensor, ReadError};
use crate::array::{Array, ShapeError, Values};

/// The network of a file.
///
/// # Errors
/// If the file has none, or a tensor is missing or does not fit it.
pub(super) fn network(file: &NamedTensors) -> Result<IntegerNetwork, ReadError> {
    let malformed = |problem: String| ReadError::malformed(KEY, problem);
    let structure = file.metadata.get(KEY);
    let structure = structure.ok_or_else(|| {
        malformed(
            "the file has no network of integers (`mobilenet quantize` makes one from floats)"
                .to_string(),
        )
    })?;
    let structure: Structure =
        serde_json::from_str(structure).map_err(|error| malformed(error.to_string()))?;
    let scales = file
        .tensors
        .get(ACTIVATION_SCALES)
        .and_then(RawTensor::to_f32);
    let scales = scales.unwrap_or_default();
    let [input, outputs @ ..] = scales.as_ref() else {
        return Err(ReadError::tensor(ACTIVATION_SCALES, "missing"));
    };
    if outputs.len() != structure.layers.len() {
        let problem = format!(
            "{} scales for {} layers",
            outputs.len(),
            structure.layers.len()
        );
        return Err(ReadError::tensor(ACTIVATION_SCALES, problem));
    }
    let layers = structure.layers.into_iter().zip(outputs);
    let layers = layers.map(|(layer, &scale)| {
        let output = layer.output.with_scale(scale);
        let operation = operation(&layer, file)?;
        Ok(IntegerLayer {
            name: layer.name,
            operation,
            output,
        })
    });
    let network = IntegerNetwork {
        input_shape: structure.input_shape,
        input: structure.input.with_scale(*input),
        layers: layers.collect::<Result<_, ReadError>>()?,
    };
    let [rows, columns, _] = network.input_shape;
    let shapes = network.shapes([rows, columns]);
    shapes.map_err(|error| malformed(error.to_string()))?;
    Ok(network)
}

fn operation(layer: &LayerStructure, file: &NamedTensors) -> Result<IntegerOperation, ReadError> {
    Ok(match layer.operation {
        OperationStructure::Quantize => IntegerOperation::Quantize,
        OperationStructure::Dequantize => IntegerOperation::Dequantize,
        OperationStructure::AveragePool(window) => IntegerOperation::AveragePool(window.into()),
        OperationStructure::Mean => IntegerOperation::Mean,
        OperationStructure::Flatten => IntegerOperation::Flatten,
        OperationStructure::Softmax { beta } => IntegerOperation::Softmax { beta },
        OperationStructure::Convolution {
            depthwise,
            window,
            activation,
            fully_connected,
        } => {
            let (kind, layout) = match depthwise {
                true => (ConvKind::Depthwise, Layout::OneHwc),
                false => (ConvKind::Conv, Layout::Ohwi),
            };
            let bias = bias(&format!("{}.bias", layer.name), file)?;
            IntegerOperation::Convolution(QuantizedConvolution {
                kind,
                geometry: window.into(),
                out_channels: bias.len(),
                weights: weights(&format!("{}.weight", layer.name), layout, file)?,
                bias,
                activation: activation.into(),
                fully_connected,
            })
        }
    })
}

fn bias(name: &str, file: &NamedTensors) -> Result<Vec<i32>, ReadError> {
    let tensor = file.tensors.get(name);
    match tensor.and_then(|tensor| tensor.values.as_deref()) {
        Some(Values::I32(bias)) => Ok(bias.clone()),
        _ => Err(ReadError::tensor(
            name,
            "expected 32-bit integers with a scale",
        )),
    }
}

fn weights(name: &str, layout: Layout, file: &NamedTensors) -> Result<QuantizedWeights, ReadError> {
    let expected = || ReadError::tensor(name, "expected 8-bit integers with a scale");
    let tensor = file.tensors.get(name).ok_or_else(expected)?;
    let values = tensor.values.as_deref().ok_or_else(expected)?;
    let quantization = tensor.quantization.as_ref().ok_or_else(expected)?;
    let failed = |error: ShapeError| ReadError::tensor(name, error.to_string());
    let shape = &tensor.shape;
    let values = match values {
        Values::U8(values) => Integers::U8(ordered(shape, values, layout).map_err(failed)?),
        Values::I8(values) => Integers::I8(ordered(shape, values, layout).map_err(failed)?),
        _ => return Err(expected()),
    };
    let count = quantization.scales.len();
    let mut zero_points: Vec<i32> = quantization
        .zero_points
        .iter()
        .map(|&zero_point| zero_point as i32)
        .collect();
    zero_points.resize(count, 0);
    Ok(QuantizedWeights {
        values,
        scales: quantization.scales.clone(),
        zero_points,
    })
}

/// Values in the order of networks of integers.
fn ordered<T: Copy>(shape: &[usize], values: &[T], layout: Layout) -> Result<Vec<T>, ShapeError> {
    let array = Array::new(shape, values.to_vec())?;
    Ok(layout.to_source(array, 1)?.into_values())
}
