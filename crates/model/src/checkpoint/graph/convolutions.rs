//! All convolutions of a graph, and which reads which: for networks that are no chain. What follows a
//! convolution (batch normalisation, arithmetic, activation) is folded into it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use mobilenet_kernels::batch_norm::BatchNormParameters;
use mobilenet_kernels::inference::LayerShape;
use mobilenet_kernels::{Activation, ConvKind};

use super::affine::{Affine, MOST_VALUES};
use crate::array::Array;
use crate::checkpoint::readers::graph::{
    BatchNorm, Conv, Graph, Operation, OperationKind, Operator,
};
use crate::checkpoint::readers::{FloatLayer, NamedTensors, ReadError};

/// The convolutions of a graph.
#[derive(Debug, Clone)]
pub struct Convolutions {
    /// In the file's order, which is one of computation.
    pub layers: Vec<GraphConvolution>,
    /// Factor and offset of the image's samples before the first convolution: one for all channels, or
    /// one for each. `None` if there is no such arithmetic.
    pub samples: Option<[Vec<f64>; 2]>,
}

/// A convolution.
#[derive(Debug, Clone)]
pub struct GraphConvolution {
    /// The index of the convolution that it reads. `None`: it reads the image, or what is computed in
    /// another way.
    pub reads: Option<usize>,
    /// Its weights, under the name of the operation.
    pub layer: FloatLayer,
}

/// The convolutions of the graph in a file; `None` if there is no graph in it.
///
/// # Errors
/// If the parameters of a convolution are missing or have impossible shapes.
pub fn convolutions(file: &NamedTensors) -> Result<Option<Convolutions>, ReadError> {
    let Some(graph) = &file.graph else {
        return Ok(None);
    };
    let takers = graph.takers();
    let mut found = Found {
        file,
        layers: Vec::new(),
        used: HashSet::new(),
    };
    // What each tensor comes from.
    let mut origins: HashMap<&str, Origin> = HashMap::new();
    for operation in &graph.operations {
        let [input] = operation.inputs.as_slice() else {
            continue;
        };
        let origin = origins.get(input.as_str()).copied().unwrap_or_default();
        // Where nobody else reads the convolution's own output, what follows can be folded into it.
        let alone = takers.get(input.as_str()).is_some_and(|all| all.len() == 1);
        let last = origin.convolution.filter(|_| alone && !origin.activated);
        let output = match (&operation.kind, last) {
            (OperationKind::Conv(conv), _) => found.add(operation, conv, origin)?,
            (OperationKind::BatchNorm(norm), Some(last)) => {
                found.normalize(last, norm)?;
                origin
            }
            (OperationKind::Arithmetic { operator, operand }, Some(last)) => {
                match found.arithmetic(last, *operator, operand) {
                    true => origin,
                    false => continue,
                }
            }
            (OperationKind::Activation(name), Some(last)) => match found.activate(last, name) {
                true => Origin {
                    activated: true,
                    ..origin
                },
                false => continue,
            },
            (OperationKind::PassThrough, _) => origin,
            (&OperationKind::Pad(sides), _) if origin.pad == [0; 4] => Origin {
                pad: sides,
                activated: true,
                ..origin
            },
            _ => continue,
        };
        origins.insert(operation.output.as_str(), output);
    }
    let samples = samples(graph, file);
    Ok(Some(Convolutions {
        layers: found.layers,
        samples,
    }))
}

/// What a tensor comes from.
#[derive(Debug, Clone, Copy, Default)]
struct Origin {
    convolution: Option<usize>,
    /// Whether nothing more can be folded into the convolution.
    activated: bool,
    /// Zeros around it: top, left, bottom, right.
    pad: [usize; 4],
}

struct Found<'a> {
    file: &'a NamedTensors,
    layers: Vec<GraphConvolution>,
    /// Weights so far. Each is copied once, so that a file that names them often takes no more memory.
    used: HashSet<*const crate::array::Values>,
}

impl Found<'_> {
    fn add(
        &mut self,
        operation: &Operation,
        conv: &Conv,
        origin: Origin,
    ) -> Result<Origin, ReadError> {
        let wrong = |problem: String| ReadError::tensor(&conv.weights, problem);
        let tensor = self.file.tensors.get(&conv.weights);
        let values = tensor.and_then(|tensor| Some((tensor, tensor.values.as_ref()?)));
        let (tensor, values) = values.ok_or_else(|| wrong("it is missing".to_string()))?;
        if !self.used.insert(Arc::as_ptr(values)) {
            return Err(wrong("two convolutions have the same weights".to_string()));
        }
        let numbers = tensor.to_f32().unwrap_or_default().into_owned();
        let weights = Array::new(tensor.shape.as_slice(), numbers);
        let weights = weights.map_err(|error| wrong(error.to_string()))?;
        let ours = conv.layout.our_shape(weights.shape());
        let &[out_channels, of_one, rows, columns] = ours.as_slice() else {
            return Err(wrong(format!("weights of shape {:?}", weights.shape())));
        };
        let weights = conv.layout.to_ours(weights, &ours);
        let weights = weights.map_err(|error| wrong(error.to_string()))?;
        let geometry = conv.window([rows, columns], origin.pad);
        let layer = FloatLayer {
            name: operation.name.clone(),
            shape: LayerShape {
                kind: match conv.depthwise {
                    true => ConvKind::Depthwise,
                    false => ConvKind::Conv,
                },
                geometry: geometry.map_err(|problem| wrong(problem.to_string()))?,
                in_channels: match conv.depthwise {
                    true => out_channels,
                    false => of_one,
                },
                out_channels,
                activation: Activation::Identity,
            },
            weights: weights.into_values(),
            bias: match &conv.bias {
                Some(name) => self.channels(name, out_channels)?,
                None => vec![0.0; out_channels],
            },
        };
        self.layers.push(GraphConvolution {
            reads: origin.convolution,
            layer,
        });
        Ok(Origin {
            convolution: Some(self.layers.len() - 1),
            ..Origin::default()
        })
    }

    /// One number for each channel.
    fn channels(&self, name: &str, channels: usize) -> Result<Vec<f32>, ReadError> {
        let tensor = self.file.tensors.get(name);
        let values = tensor.and_then(|tensor| tensor.to_f32());
        let values = values.ok_or_else(|| ReadError::tensor(name, "it is missing"))?;
        match values.len() == channels {
            true => Ok(values.into_owned()),
            false => Err(ReadError::tensor(
                name,
                format!("{} values, expected {channels}", values.len()),
            )),
        }
    }

    fn normalize(&mut self, index: usize, norm: &BatchNorm) -> Result<(), ReadError> {
        let channels = self.layers[index].layer.bias.len();
        let of = |name: &Option<String>| match name {
            Some(name) => self.channels(name, channels).map(Some),
            None => Ok(None),
        };
        let (gamma, beta) = (of(&norm.gamma)?, of(&norm.beta)?);
        let mut mean = self.channels(&norm.mean, channels)?;
        let variance = self.channels(&norm.variance, channels)?;
        let layer = &mut self.layers[index].layer;
        for (mean, bias) in mean.iter_mut().zip(&layer.bias) {
            *mean -= bias;
        }
        let parameters = BatchNormParameters {
            gamma: gamma.as_deref(),
            beta: beta.as_deref(),
            mean: &mean,
            variance: &variance,
            epsilon: norm.epsilon,
        };
        let folded = parameters.fold_into(&mut layer.weights);
        layer.bias = folded.map_err(|error| ReadError::tensor(&norm.mean, error.to_string()))?;
        Ok(())
    }

    /// Returns whether the operand is one number, or one for each channel.
    fn arithmetic(&mut self, index: usize, operator: Operator, operand: &str) -> bool {
        let layer = &mut self.layers[index].layer;
        let values = self.file.tensors.get(operand);
        let values = values.and_then(|tensor| tensor.to_f32());
        let Some(values) = values.filter(|values| [1, layer.bias.len()].contains(&values.len()))
        else {
            return false;
        };
        let of_one = layer.weights.len() / layer.bias.len().max(1);
        let weights = layer.weights.chunks_mut(of_one.max(1));
        for ((bias, weights), &value) in layer
            .bias
            .iter_mut()
            .zip(weights)
            .zip(values.iter().cycle())
        {
            let factor = match operator {
                Operator::Add => {
                    *bias += value;
                    continue;
                }
                Operator::Subtract => {
                    *bias -= value;
                    continue;
                }
                Operator::Multiply => value,
                Operator::Divide => 1.0 / value,
            };
            *bias *= factor;
            for weight in weights {
                *weight *= factor;
            }
        }
        true
    }

    /// Returns whether the activation is one of ours.
    fn activate(&mut self, index: usize, name: &str) -> bool {
        let activation = match name {
            "relu6" => Activation::Relu6,
            "relu" => Activation::Relu,
            _ => return false,
        };
        self.layers[index].layer.shape.activation = activation;
        true
    }
}

/// The arithmetic on what the first convolution reads.
fn samples(graph: &Graph, file: &NamedTensors) -> Option<[Vec<f64>; 2]> {
    let is_conv = |one: &&Operation| matches!(one.kind, OperationKind::Conv(_));
    let mut before: HashMap<&str, &Operation> = HashMap::new();
    for operation in &graph.operations {
        before.insert(operation.output.as_str(), operation);
    }
    let mut tensor = graph.operations.iter().find(is_conv)?.inputs.first()?;
    let mut steps = Vec::new();
    // Each step removes an operation, so a cycle ends.
    while let Some(operation) = before.remove(tensor.as_str()) {
        match &operation.kind {
            OperationKind::PassThrough => {}
            OperationKind::Arithmetic { operator, operand } => {
                let tensor = file.tensors.get(operand)?;
                let values = tensor
                    .to_f64()
                    .filter(|values| values.len() <= MOST_VALUES)?;
                steps.push((*operator, values));
            }
            _ => break,
        }
        tensor = operation.inputs.first()?;
    }
    let mut affine = Affine::default();
    for (operator, values) in steps.iter().rev() {
        affine.then(*operator, values).ok()?;
    }
    (!steps.is_empty()).then_some([affine.scale, affine.offset])
}
