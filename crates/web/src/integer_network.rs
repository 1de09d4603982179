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
use crate::integer_predictors::{BYTES_OF_NUMBERS, Predictions, Predictors};
use crate::network::{
    DETECTS, Layers, MOST_LAYERS, Network, add_predictions, count_branches, floats, lengths,
    possible, resolve,
};
use crate::words::{MOST_CHANNELS, Words};

/// A network whose weights are still to come.
#[derive(Debug)]
pub(crate) struct IntegerLayers {
    network: Description,
    arithmetic: Arithmetic,
    /// The layers that give features and logits, if it is no detector.
    outputs: [usize; 2],
    /// A detector's.
    predictors: Predictors,
    /// The convolutions that have no weights yet, the next one last: index of the layer, where
    /// branches are counted after the layers, inputs of an output value, and number of scales.
    coming: Vec<(usize, usize, usize)>,
}

impl IntegerLayers {
    /// Reads a description: the input's meaning, the arithmetic, the layers of the features and of
    /// the logits, number of layers, then for each its operation and its output's meaning; number of
    /// a detector's branches, for each the layer that it reads, its operation and its output's
    /// meaning; if there are any, those of the boxes and those of the scores. `bytes` is how many
    /// bytes all weights have.
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
        let mut maps = Vec::new();
        for index in 0..count {
            let operation = operation(words)?;
            match &operation {
                IntegerOperation::Convolution(convolution) => {
                    let outputs = convolution.out_channels;
                    map = resolve(&convolution.geometry, map, outputs)?;
                    let depth = depth(convolution, inputs);
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
            maps.push((map, inputs));
        }
        let mut predictors = Predictors::default();
        let branches = count_branches(words)?;
        if DETECTS && branches > 0 {
            let mut values = 0;
            for index in 0..branches {
                let reads = words.count()?;
                let Some(&(map, inputs)) = maps.get(reads) else {
                    return Err(WebError::Order("a branch reads no layer"));
                };
                let operation = operation(words)?;
                if let IntegerOperation::Convolution(convolution) = &operation {
                    let outputs = convolution.out_channels;
                    add_predictions(&mut values, &convolution.geometry, map, outputs)?;
                    let depth = depth(convolution, inputs);
                    weights = weights.saturating_add(depth.saturating_mul(outputs));
                    coming.push((count + index, depth, convolution.weights.scales.len()));
                }
                let layer = IntegerLayer {
                    name: (count + index).to_string(),
                    operation,
                    output: meaning(words)?,
                };
                predictors.push(reads, layer);
            }
            predictors.read_joined(words)?;
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
            predictors,
            coming,
        })
    }

    /// A layer of the chain, or a branch.
    fn layer_at(&mut self, index: usize) -> Option<&mut IntegerLayer> {
        match index.checked_sub(self.network.layers.len()) {
            None => self.network.layers.get_mut(index),
            Some(_) if !DETECTS => None,
            Some(branch) => {
                let branch = self.predictors.branches.get_mut(branch);
                branch.map(|branch| &mut branch.layer)
            }
        }
    }
}

/// Weights of an output channel.
fn depth(convolution: &QuantizedConvolution, inputs: usize) -> usize {
    let [rows, columns] = convolution.geometry.kernel;
    match convolution.kind {
        ConvKind::Conv => inputs.saturating_mul(rows * columns),
        ConvKind::Depthwise => rows * columns,
    }
}

impl Layers for IntegerLayers {
    /// The weights of the next convolution: biases as i32, scales as f32, zero points as i32, and
    /// the weights as they are in the description; of a branch also the numbers of its bytes.
    fn layer(&mut self, _: u32, bytes: &[u8]) -> Result<(), WebError> {
        let Some((index, depth, scales)) = self.coming.pop() else {
            return Err(WebError::Order("the network has no more layers"));
        };
        let branch = index.checked_sub(self.network.layers.len());
        let Some(IntegerOperation::Convolution(convolution)) =
            self.layer_at(index).map(|layer| &mut layer.operation)
        else {
            return Err(WebError::Order("this layer has no weights"));
        };
        let outputs = convolution.out_channels;
        let numbers = branch.map_or(0, |_| BYTES_OF_NUMBERS);
        let expected = 4 * (outputs + 2 * scales) + outputs * depth + numbers;
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
        let (rest, numbers) = rest.split_at(outputs * depth);
        convolution.bias = integers(bias);
        convolution.weights.scales = floats(factors);
        convolution.weights.zero_points = integers(zero_points);
        convolution.weights.values = match convolution.weights.values.integer() {
            IntegerType::U8 => Integers::U8(rest.to_vec()),
            IntegerType::I8 => Integers::I8(rest.iter().map(|&byte| byte as i8).collect()),
        };
        if let Some(branch) = branch {
            self.predictors.set_numbers(branch, numbers);
        }
        Ok(())
    }

    fn plan(self: Box<Self>, threads: usize) -> Result<Box<dyn Network>, WebError> {
        if !self.coming.is_empty() {
            return Err(WebError::Order("layers of the network are missing"));
        }
        let Self {
            network,
            arithmetic,
            outputs,
            predictors,
            ..
        } = *self;
        let [rows, columns, _] = network.input_shape;
        let isa = IntegerIsa::best().map_err(KernelError::from)?;
        let layers = network.layers.len();
        let is_detector = DETECTS && !predictors.branches.is_empty();
        let outputs = match is_detector {
            false => outputs.to_vec(),
            true => predictors.outputs().map(|branch| layers + branch).collect(),
        };
        let packed = match is_detector {
            false => PackedIntegers::new(network, arithmetic, isa)?,
            true => {
                let branches = predictors.branches.clone();
                PackedIntegers::with_branches(network, branches, arithmetic, isa)?
            }
        };
        let config = IntegerProgramConfig {
            size: [rows, columns],
            outputs,
            threads: possible(threads),
        };
        let program = IntegerProgram::new(Arc::new(packed), &config)?;
        let predictions = is_detector.then(|| predictors.predictions(program.output_shapes()));
        Ok(Box::new(IntegerNetwork {
            program,
            predictions,
        }))
    }
}

/// A network that is ready to run.
#[derive(Debug)]
struct IntegerNetwork {
    program: IntegerProgram,
    /// A detector's, whose features are the encodings of boxes, and whose logits are scores.
    predictions: Option<Predictions>,
}

impl Network for IntegerNetwork {
    fn outputs(&self) -> [usize; 2] {
        match self.predictions.as_ref().filter(|_| DETECTS) {
            None => lengths(self.program.output_shapes()),
            Some(predictions) => predictions.lengths(),
        }
    }

    fn run(
        &mut self,
        input: &[f32],
        features: &mut [f32],
        logits: &mut [f32],
    ) -> Result<(), WebError> {
        let images = IntegerImages::F32(input);
        match self.predictions.as_mut().filter(|_| DETECTS) {
            None => {
                let outputs = &mut [IntegerOutput::F32(features), IntegerOutput::F32(logits)];
                self.program.run(&images, outputs)?;
            }
            Some(predictions) => {
                self.program.run(&images, &mut predictions.outputs())?;
                predictions.write(features, logits);
            }
        }
        Ok(())
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
