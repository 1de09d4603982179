//! A network of 8-bit integers: its description, its weights, and its program.

use std::sync::Arc;

use mobilenet_kernels::KernelError;
use mobilenet_kernels::inference::ConvKind;
use mobilenet_kernels::integer::IntegerType;
use mobilenet_kernels::integer::{
    Arithmetic, IntegerImages, IntegerLayer, IntegerNetwork as Description, IntegerOperation,
    IntegerOutput, IntegerProgram, IntegerProgramConfig, Integers, PackedIntegers, Quantized,
    QuantizedConvolution, QuantizedWeights, ValueKind,
};
use mobilenet_kernels::simd::IntegerIsa;

use crate::error::WebError;
use crate::network::{Layers, MOST_LAYERS, Network, floats, lengths, possible, resolve};
use crate::words::{MOST_CHANNELS, Words};

/// A network whose weights are still to come.
#[derive(Debug)]
pub(crate) struct IntegerLayers {
    network: Description,
    arithmetic: Arithmetic,
    /// The layers that give features and logits.
    outputs: [usize; 2],
    /// The convolutions that have no weights yet, the next one last: index of the layer, inputs of
    /// an output value, and number of scales.
    coming: Vec<(usize, usize, usize)>,
}

impl IntegerLayers {
    /// Reads a description: the input's meaning, the arithmetic, the layers of the features and of
    /// the logits, number of layers, then for each its operation and its output's meaning. `bytes`
    /// is how many bytes all weights have.
    pub(crate) fn read(
        words: &mut Words<'_>,
        [rows, columns, channels]: [usize; 3],
        bytes: usize,
    ) -> Result<Self, WebError> {
        let input = meaning(words)?;
        let arithmetic = match words.next()? {
            0 => Arithmetic::Xnnpack,
            1 => Arithmetic::Reference,
            2 => Arithmetic::Optimized,
            found => {
                let what = "an arithmetic";
                return Err(WebError::Unknown { what, found });
            }
        };
        let outputs = [words.count()?, words.count()?];
        let count = words.size("the number of layers", MOST_LAYERS)?;
        let (mut map, mut inputs) = ([rows, columns], channels);
        let (mut layers, mut coming, mut weights) = (Vec::new(), Vec::new(), 0usize);
        for index in 0..count {
            let operation = operation(words)?;
            match &operation {
                IntegerOperation::Convolution(convolution) => {
                    let outputs = convolution.out_channels;
                    map = resolve(&convolution.geometry, map, outputs)?;
                    let [rows, columns] = convolution.geometry.kernel;
                    let depth = match convolution.kind {
                        ConvKind::Conv => inputs.saturating_mul(rows * columns),
                        ConvKind::Depthwise => rows * columns,
                    };
                    weights = weights.saturating_add(depth.saturating_mul(outputs));
                    coming.push((index, depth, convolution.weights.scales.len()));
                    inputs = outputs;
                }
                IntegerOperation::AveragePool(geometry) => map = resolve(geometry, map, inputs)?,
                IntegerOperation::Mean => map = [1, 1],
                IntegerOperation::Flatten => {
                    inputs = inputs.saturating_mul(map[0] * map[1]);
                    map = [1, 1];
                }
                _ => {}
            }
            layers.push(IntegerLayer {
                name: index.to_string(),
                operation,
                output: meaning(words)?,
            });
        }
        // Before memory is allocated for them.
        if weights > bytes {
            return Err(WebError::Weights { weights, bytes });
        }
        coming.reverse();
        Ok(Self {
            network: Description {
                input_shape: [rows, columns, channels],
                input,
                layers,
            },
            arithmetic,
            outputs,
            coming,
        })
    }
}

impl Layers for IntegerLayers {
    /// The weights of the next convolution: biases as i32, scales as f32, zero points as i32, and
    /// the weights as they are in the description.
    fn layer(&mut self, _: u32, bytes: &[u8]) -> Result<(), WebError> {
        let Some((index, depth, scales)) = self.coming.pop() else {
            return Err(WebError::Order("the network has no more layers"));
        };
        let Some(IntegerOperation::Convolution(convolution)) = (self.network.layers)
            .get_mut(index)
            .map(|layer| &mut layer.operation)
        else {
            return Err(WebError::Order("this layer has no weights"));
        };
        let outputs = convolution.out_channels;
        let expected = 4 * (outputs + 2 * scales) + outputs * depth;
        if bytes.len() != expected {
            let (layer, found) = (index, bytes.len());
            return Err(WebError::Bytes {
                layer,
                expected,
                found,
            });
        }
        let (bias, rest) = bytes.split_at(4 * outputs);
        let (factors, rest) = rest.split_at(4 * scales);
        let (zero_points, rest) = rest.split_at(4 * scales);
        convolution.bias = integers(bias);
        convolution.weights.scales = floats(factors);
        convolution.weights.zero_points = integers(zero_points);
        convolution.weights.values = match convolution.weights.values.integer() {
            IntegerType::U8 => Integers::U8(rest.to_vec()),
            IntegerType::I8 => Integers::I8(rest.iter().map(|&byte| byte as i8).collect()),
        };
        Ok(())
    }

    fn plan(self: Box<Self>, threads: usize) -> Result<Box<dyn Network>, WebError> {
        if !self.coming.is_empty() {
            return Err(WebError::Order("layers of the network are missing"));
        }
        let [rows, columns, _] = self.network.input_shape;
        let isa = IntegerIsa::best().map_err(KernelError::from)?;
        let packed = PackedIntegers::new(self.network, self.arithmetic, isa)?;
        let config = IntegerProgramConfig {
            size: [rows, columns],
            outputs: self.outputs.to_vec(),
            threads: possible(threads),
        };
        let program = IntegerProgram::new(Arc::new(packed), &config)?;
        Ok(Box::new(IntegerNetwork { program }))
    }
}

/// A network that is ready to run.
#[derive(Debug)]
struct IntegerNetwork {
    program: IntegerProgram,
}

impl Network for IntegerNetwork {
    fn outputs(&self) -> [usize; 2] {
        lengths(self.program.output_shapes())
    }

    fn run(
        &mut self,
        input: &[f32],
        features: &mut [f32],
        logits: &mut [f32],
    ) -> Result<(), WebError> {
        let outputs = &mut [IntegerOutput::F32(features), IntegerOutput::F32(logits)];
        Ok(self.program.run(&IntegerImages::F32(input), outputs)?)
    }
}

/// A type of integers.
fn integer(found: u32) -> Result<IntegerType, WebError> {
    match found {
        1 => Ok(IntegerType::U8),
        2 => Ok(IntegerType::I8),
        found => {
            let what = "a type of integers";
            Err(WebError::Unknown { what, found })
        }
    }
}

/// What an activation's values mean: type (0 for numbers), scale, zero point.
fn meaning(words: &mut Words<'_>) -> Result<ValueKind, WebError> {
    let (kind, scale, zero_point) = (words.next()?, words.float()?, words.next()? as i32);
    if kind == 0 {
        return Ok(ValueKind::F32);
    }
    Ok(ValueKind::Quantized(Quantized {
        integer: integer(kind)?,
        scale,
        zero_point,
    }))
}

/// A layer's operation: its number, then what it needs.
fn operation(words: &mut Words<'_>) -> Result<IntegerOperation, WebError> {
    Ok(match words.next()? {
        0 => IntegerOperation::Quantize,
        1 => IntegerOperation::Dequantize,
        2 => IntegerOperation::Convolution(convolution(words)?),
        3 => IntegerOperation::AveragePool(words.window()?),
        4 => IntegerOperation::Mean,
        5 => IntegerOperation::Flatten,
        6 => IntegerOperation::Softmax {
            beta: words.float()?,
        },
        found => {
            let what = "a kind of layer";
            return Err(WebError::Unknown { what, found });
        }
    })
}

/// A convolution without its weights, but with as many scales as will come.
fn convolution(words: &mut Words<'_>) -> Result<QuantizedConvolution, WebError> {
    let kind = match words.next()? {
        0 => ConvKind::Conv,
        _ => ConvKind::Depthwise,
    };
    let out_channels = words.size("the channels of a layer", MOST_CHANNELS)?;
    let geometry = words.window()?;
    let activation = words.activation()?;
    let fully_connected = words.next()? != 0;
    let values = match integer(words.next()?)? {
        IntegerType::U8 => Integers::U8(Vec::new()),
        IntegerType::I8 => Integers::I8(Vec::new()),
    };
    let scales = words.size("the number of scales", out_channels)?;
    Ok(QuantizedConvolution {
        kind,
        geometry,
        out_channels,
        weights: QuantizedWeights {
            values,
            scales: vec![0.0; scales],
            zero_points: Vec::new(),
        },
        bias: Vec::new(),
        activation,
        fully_connected,
    })
}

/// Little-endian integers.
fn integers(bytes: &[u8]) -> Vec<i32> {
    let chunks = bytes.as_chunks().0.iter();
    chunks.map(|&bytes| i32::from_le_bytes(bytes)).collect()
}
