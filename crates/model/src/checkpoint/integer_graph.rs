//! A network of integers from a graph that quantises its activations: ONNX with nodes that quantise
//! and dequantise, or with operators on integers, which its reader translates to the same.
//!
//! A layer is an operation on numbers that integers mean, perhaps an activation, and the rounding of
//! the result to integers.

use mobilenet_kernels::integer::{
    IntegerLayer, IntegerNetwork, IntegerOperation, Quantized, QuantizedConvolution, ValueKind,
};
use mobilenet_kernels::{Activation, ConvGeometry, ConvKind, Padding};

use super::integer_constants::{bias_of, weights_of};
use super::layout::Layout;
use super::readers::graph::{Conv, Graph, Operation, OperationKind};
use super::readers::{NamedTensors, ReadError};

/// Whether the file's graph rounds activations to integers.
pub(super) fn is_quantized(file: &NamedTensors) -> bool {
    let quantizes = |operation: &Operation| matches!(operation.kind, OperationKind::Quantize(_));
    let graph = file.graph.as_ref();
    graph.is_some_and(|graph| graph.operations.iter().any(quantizes))
}

/// The network of a file's graph, for images of `size` where the graph leaves it open.
///
/// # Errors
/// If the graph is not a chain of what networks of integers do.
pub(super) fn network(file: &NamedTensors, size: [usize; 2]) -> Result<IntegerNetwork, ReadError> {
    let no_graph = Graph::default();
    let graph = file.graph.as_ref().unwrap_or(&no_graph);
    let [rows, columns] = graph.input.size.unwrap_or(size);
    let mut chain = Chain {
        file,
        input: None,
        input_channels: None,
        values: None,
        shape: [rows, columns, 0],
        pad: [0; 4],
        clipped: false,
        pending: None,
        layers: Vec::new(),
    };
    let mut takers = graph.takers();
    let mut tensor = graph.input.name.as_str();
    // Each iteration removes an operation, so a cycle ends.
    while let Some(next) = takers.remove(tensor) {
        let &[operation] = next.as_slice() else {
            let problem = format!("`{tensor}` goes to {} operations, not one", next.len());
            return Err(ReadError::malformed("graph", problem));
        };
        chain.step(operation).map_err(|problem| match problem {
            Problem::Tensor(error) => error,
            Problem::Text(text) => ReadError::malformed(format!("node `{}`", operation.name), text),
        })?;
        tensor = &operation.output;
    }
    let network = chain.finish([rows, columns])?;
    let shapes = network.shapes([rows, columns]);
    shapes.map_err(|error| ReadError::malformed("graph", error))?;
    Ok(network)
}

/// What is wrong with a node, or with a tensor that it reads.
enum Problem {
    Text(String),
    Tensor(ReadError),
}

impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Problem {
    fn from(text: &str) -> Self {
        Self::Text(text.to_string())
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::Tensor(error)
    }
}

/// NaN would be no meaning that two nodes can share.
fn check_scale(quantized: Quantized) -> Result<(), Problem> {
    match quantized.scale {
        scale if scale.is_normal() && scale > 0.0 => Ok(()),
        scale => Err(format!("a scale of {scale:e}").into()),
    }
}

/// Values of the current tensor.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Integers(Quantized),
    /// The numbers that integers mean.
    Numbers(Quantized),
}

impl State {
    fn quantized(self) -> Quantized {
        match self {
            Self::Integers(quantized) | Self::Numbers(quantized) => quantized,
        }
    }
}

/// The operations so far.
struct Chain<'a> {
    file: &'a NamedTensors,
    /// Values and channels of the image, once they are known.
    input: Option<ValueKind>,
    input_channels: Option<usize>,
    /// `None` before the image is integers.
    values: Option<State>,
    /// Rows, columns and channels of the current map.
    shape: [usize; 3],
    /// Top, left, bottom, right: to be added to the next convolution's.
    pad: [usize; 4],
    /// Whether the last layer got an activation after its result was rounded.
    clipped: bool,
    /// The operation whose result is not rounded yet.
    pending: Option<(String, IntegerOperation)>,
    layers: Vec<IntegerLayer>,
}

impl Chain<'_> {
    /// Adds an operation.
    fn step(&mut self, operation: &Operation) -> Result<(), Problem> {
        let name = operation.name.as_str();
        match &operation.kind {
            OperationKind::PassThrough | OperationKind::Shape => {}
            OperationKind::Quantize(quantized) => self.quantize(name, *quantized)?,
            OperationKind::Dequantize(quantized) => self.dequantize(*quantized)?,
            // The image's mean and scale, which preprocessing has.
            OperationKind::Arithmetic { .. } if self.input.is_none() => {}
            OperationKind::Pad(sides) => {
                for (sum, side) in self.pad.iter_mut().zip(sides) {
                    *sum = sum.saturating_add(*side);
                }
            }
            OperationKind::Activation(activation) => self.activation(activation)?,
            OperationKind::Conv(conv) => {
                let convolution = self.conv(conv)?;
                self.pend(name, convolution)?;
            }
            OperationKind::Dense {
                weights,
                layout,
                bias,
            } => {
                let convolution = self.dense(weights, *layout, bias.as_deref())?;
                self.pend(name, convolution)?;
            }
            OperationKind::AveragePool(window) => {
                let pool = self.pool(*window)?;
                self.pend(name, pool)?;
            }
            OperationKind::Softmax => {
                self.pend(name, IntegerOperation::Softmax { beta: 1.0 })?;
            }
            OperationKind::BatchNorm(_) => {
                return Err("batch normalisation that is not folded into weights".into());
            }
            OperationKind::Arithmetic { operator, .. } => {
                return Err(format!("no {operator} of integers is supported").into());
            }
            OperationKind::Other(kind) => {
                return Err(format!("{kind} of integers is not supported").into());
            }
        }
        Ok(())
    }

    /// What the numbers mean that an operation reads.
    fn numbers(&self) -> Result<Quantized, Problem> {
        match (self.values, &self.pending) {
            (Some(State::Numbers(quantized)), None) => Ok(quantized),
            _ => Err("its input is not quantised to 8-bit integers".into()),
        }
    }

    /// Keeps an operation until its result is rounded.
    fn pend(&mut self, name: &str, operation: IntegerOperation) -> Result<(), Problem> {
        self.numbers()?;
        self.pending = Some((name.to_string(), operation));
        Ok(())
    }

    fn push(&mut self, name: &str, operation: IntegerOperation, output: ValueKind) {
        self.layers.push(IntegerLayer {
            name: name.to_string(),
            operation,
            output,
        });
    }

    fn quantize(&mut self, name: &str, quantized: Quantized) -> Result<(), Problem> {
        check_scale(quantized)?;
        let output = ValueKind::Quantized(quantized);
        match (self.pending.take(), self.values) {
            // A pool whose result has the input's meaning is another operation.
            (Some((name, operation)), before) => {
                let operation = match (operation, before) {
                    (IntegerOperation::AveragePool(_), Some(before))
                        if before.quantized() != quantized =>
                    {
                        IntegerOperation::Mean
                    }
                    (operation, _) => operation,
                };
                self.push(&name, operation, output);
            }
            (None, Some(before)) if before.quantized() == quantized => {}
            (None, _) if self.clipped => {
                return Err("an activation between two roundings that differ".into());
            }
            (None, before) => {
                if before.is_none() {
                    self.input = Some(ValueKind::F32);
                }
                self.push(name, IntegerOperation::Quantize, output);
            }
        }
        self.clipped = false;
        self.values = Some(State::Integers(quantized));
        Ok(())
    }

    fn dequantize(&mut self, quantized: Quantized) -> Result<(), Problem> {
        check_scale(quantized)?;
        match self.values {
            None => self.input = Some(ValueKind::Quantized(quantized)),
            Some(State::Integers(before)) if before == quantized => {}
            _ => return Err("it reads integers of another meaning than it says".into()),
        }
        self.values = Some(State::Numbers(quantized));
        Ok(())
    }

    /// An activation belongs to the convolution before it, also if the result was rounded in
    /// between and is rounded in the same way again.
    fn activation(&mut self, name: &str) -> Result<(), Problem> {
        let found = match name {
            "relu6" => Activation::Relu6,
            "relu" => Activation::Relu,
            other => return Err(format!("the activation {other} is not supported").into()),
        };
        self.clipped = self.pending.is_none();
        let before = match &mut self.pending {
            Some((_, operation)) => Some(operation),
            None => self.layers.last_mut().map(|layer| &mut layer.operation),
        };
        match before {
            Some(IntegerOperation::Convolution(convolution))
                if convolution.activation == Activation::Identity =>
            {
                convolution.activation = found;
                Ok(())
            }
            _ => Err("an activation that is not after a convolution".into()),
        }
    }

    fn conv(&mut self, conv: &Conv) -> Result<IntegerOperation, Problem> {
        let input = self.numbers()?;
        let kind = match conv.depthwise {
            true => ConvKind::Depthwise,
            false => ConvKind::Conv,
        };
        let (weights, shape) = weights_of(&conv.weights, conv.layout, kind, self.file)?;
        let [out_channels, inputs, rows, columns] = shape;
        if self.input_channels.is_none() {
            let channels = if conv.depthwise { out_channels } else { inputs };
            self.input_channels = Some(channels);
        }
        let pad = std::mem::take(&mut self.pad);
        let geometry = conv.window([rows, columns], pad)?;
        let size = geometry.resolve(1, self.shape[0], self.shape[1]);
        let size = size.map_err(|error| error.to_string())?;
        self.shape = [size.rows.output, size.columns.output, out_channels];
        let bias = conv.bias.as_deref();
        let bias = bias_of(bias, out_channels, input.scale, &weights, self.file)?;
        let activation = conv.activation.as_deref();
        let convolution = IntegerOperation::Convolution(QuantizedConvolution {
            kind,
            geometry,
            out_channels,
            bias,
            weights,
            activation: Activation::Identity,
            fully_connected: false,
        });
        match activation {
            None => Ok(convolution),
            Some(other) => Err(format!("a fused {other} in a graph of integers").into()),
        }
    }

    fn dense(
        &mut self,
        weights: &str,
        layout: Layout,
        bias: Option<&str>,
    ) -> Result<IntegerOperation, Problem> {
        let input = self.numbers()?;
        if self.shape[..2] != [1, 1] {
            let shape = self.shape;
            return Err(format!("a dense layer on a map of {shape:?} is not supported").into());
        }
        let (weights, [out_channels, ..]) = weights_of(weights, layout, ConvKind::Conv, self.file)?;
        self.shape = [1, 1, out_channels];
        Ok(IntegerOperation::Convolution(QuantizedConvolution {
            kind: ConvKind::Conv,
            geometry: ConvGeometry::POINTWISE,
            out_channels,
            bias: bias_of(bias, out_channels, input.scale, &weights, self.file)?,
            weights,
            activation: Activation::Identity,
            fully_connected: true,
        }))
    }

    /// A pool over the whole map. Without a window its result has a meaning of its own.
    fn pool(&mut self, window: Option<[usize; 2]>) -> Result<IntegerOperation, Problem> {
        let [rows, columns, channels] = self.shape;
        if let Some(window) = window.filter(|window| *window != [rows, columns]) {
            let map = [rows, columns];
            return Err(format!("a pool of {window:?} on a map of {map:?}").into());
        }
        self.shape = [1, 1, channels];
        Ok(match window {
            None => IntegerOperation::Mean,
            Some(kernel) => IntegerOperation::AveragePool(ConvGeometry {
                kernel,
                stride: 1,
                dilation: 1,
                padding: Padding::VALID,
            }),
        })
    }

    /// The network. A softmax of numbers at its end is left to the reader, as in files of f32.
    fn finish(mut self, [rows, columns]: [usize; 2]) -> Result<IntegerNetwork, ReadError> {
        let wrong = |problem: &str| Err(ReadError::malformed("graph", problem));
        match &self.pending {
            None | Some((_, IntegerOperation::Softmax { .. })) => {}
            Some((name, _)) => {
                return wrong(&format!(
                    "the result of `{name}` is not rounded to integers"
                ));
            }
        }
        let (Some(input), Some(channels)) = (self.input, self.input_channels) else {
            return wrong("it has no convolution of integers");
        };
        if let Some(State::Numbers(_)) = self.values {
            self.push("numbers", IntegerOperation::Dequantize, ValueKind::F32);
        }
        Ok(IntegerNetwork {
            input_shape: [rows, columns, channels],
            input,
            layers: self.layers,
        })
    }
}
