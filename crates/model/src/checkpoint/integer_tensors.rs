//! A network of integers from the tensors and the structure of our own safetensors.

use mobilenet_kernels::ConvKind;
use mobilenet_kernels::integer::{
    IntegerLayer, IntegerNetwork, IntegerOperation, QuantizedConvolution,
};

use super::integer_constants::{biases, weights_of};
use super::integer_structure::{
    ACTIVATION_SCALES, KEY, LayerStructure, OperationStructure, Structure,
};
use super::layout::Layout;
use super::readers::{NamedTensors, RawTensor, ReadError};

/// The network of a file.
///
/// # Errors
/// If the file has none, or a tensor is missing or does not fit it.
pub(super) fn network(file: &NamedTensors) -> Result<IntegerNetwork, ReadError> {
    let malformed = |problem: String| ReadError::malformed(KEY, problem);
    let structure = file.metadata.get(KEY);
    let structure = structure.ok_or_else(|| malformed("the file has none".to_string()))?;
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
            let kind = match depthwise {
                true => ConvKind::Depthwise,
                false => ConvKind::Conv,
            };
            let name = |part: &str| format!("{}.{part}", layer.name);
            let bias = biases(&name("bias"), file)?.to_vec();
            let (weights, _) = weights_of(&name("weight"), Layout::Same, kind, file)?;
            IntegerOperation::Convolution(QuantizedConvolution {
                kind,
                geometry: window.into(),
                out_channels: bias.len(),
                weights,
                bias,
                activation: activation.into(),
                fully_connected,
            })
        }
    })
}
