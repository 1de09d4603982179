//! Follows the chain of operations from the image to the classes.
//!
//! ```text
//! [x * scale + offset] -> for each layer: ([pad] -> convolution -> [batch norm] -> activation)
//!     -> pool -> classifier
//! ```

use mobilenet_kernels::ConvGeometry;

use super::affine::{Affine, MOST_VALUES};
use crate::checkpoint::layout::Layout;
use crate::checkpoint::readers::NamedTensors;
use crate::checkpoint::readers::graph::{
    BatchNorm, Conv, Graph, Operation, OperationKind, Operator,
};
use crate::endpoint::{Endpoint, LayerKind};

/// One convolution, and the operations after it.
pub(super) struct GraphLayer {
    pub(super) endpoint: Endpoint,
    pub(super) conv: Conv,
    pub(super) batch_norm: Option<BatchNorm>,
    pub(super) activation: Option<String>,
    /// The largest number that the integers of its result mean, where 0 is the smallest.
    most: Option<f32>,
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Walk {
    /// The layers of the body, in order of computation.
    expected: Vec<Endpoint>,
    pub(super) affine: Option<Affine>,
    pub(super) pad: [usize; 4],
    pub(super) layers: Vec<GraphLayer>,
    pub(super) windows: Vec<ConvGeometry>,
    pub(super) pool: Option<Option<[usize; 2]>>,
    pub(super) logits: Option<(String, Layout, Option<String>)>,
}

/// Walks from the image to the end of the network.
///
/// # Errors
/// A sentence, if the graph does not have the expected layers.
pub(super) fn walk(
    graph: &Graph,
    file: &NamedTensors,
    expected: Vec<Endpoint>,
) -> Result<Walk, String> {
    let mut walk = Walk {
        expected,
        ..Walk::default()
    };
    let mut takers = graph.takers();
    let mut tensor = graph.input.name.as_str();
    // Each iteration removes an operation, so a cycle ends.
    while let Some(next) = takers.remove(tensor) {
        let &[operation] = next.as_slice() else {
            if walk.logits.is_some() {
                break;
            }
            let names: Vec<&str> = next.iter().take(3).map(|o| o.name.as_str()).collect();
            return Err(format!(
                "`{tensor}` goes to {} operations ({}): MobileNetV1 is a chain, networks with \
                 shortcuts such as MobileNetV2 and ResNet are not",
                next.len(),
                names.join(", ")
            ));
        };
        if !walk.step(operation, file)? {
            break;
        }
        tensor = &operation.output;
    }
    let (found, expected) = (walk.layers.len(), walk.expected.len());
    if found != expected {
        return Err(format!(
            "it has {found} convolutions, MobileNetV1 has {expected}"
        ));
    }
    walk.imply_activations();
    Ok(walk)
}

/// A little more than the largest number of ReLU6.
const MOST_OF_RELU6: f32 = 6.01;

impl Walk {
    /// Quantisers leave out activations where integers cannot mean other numbers anyway.
    fn imply_activations(&mut self) {
        let layers = &mut self.layers;
        if layers.iter().any(|layer| layer.activation.is_some()) {
            return;
        }
        let most: Option<Vec<f32>> = layers.iter().map(|layer| layer.most).collect();
        if let Some(most) = most {
            let is_relu6 = most.iter().all(|most| *most <= MOST_OF_RELU6);
            let name = if is_relu6 { "relu6" } else { "relu" };
            for layer in layers {
                layer.activation = Some(name.to_string());
            }
        }
    }

    /// Processes one operation. Returns whether to go on.
    fn step(&mut self, operation: &Operation, file: &NamedTensors) -> Result<bool, String> {
        let name = &operation.name;
        let misplaced = |what: &str| Err(format!("{what} `{name}` has no place in MobileNetV1"));
        match &operation.kind {
            OperationKind::Quantize(quantized) => {
                if let Some(layer) = self.layers.last_mut().filter(|_| self.pool.is_none())
                    && quantized.zero_point == quantized.integer.min()
                {
                    layer.most = Some(255.0 * quantized.scale);
                }
            }
            OperationKind::PassThrough
            | OperationKind::Softmax
            | OperationKind::Dequantize(_)
            | OperationKind::Shape => {}
            // Operations after the classifier are not part of the network.
            _ if self.logits.is_some()
                && !matches!(operation.kind, OperationKind::Dense { .. }) =>
            {
                if let OperationKind::Arithmetic {
                    operator: Operator::Add,
                    operand,
                } = &operation.kind
                    && let Some((_, _, bias @ None)) = &mut self.logits
                {
                    *bias = Some(operand.clone());
                    return Ok(true);
                }
                return Ok(false);
            }
            OperationKind::Conv(conv) => self.conv(name, conv, file)?,
            OperationKind::BatchNorm(norm) => match self.layers.last_mut() {
                Some(layer) if layer.batch_norm.is_none() && layer.activation.is_none() => {
                    layer.batch_norm = Some(norm.clone());
                }
                _ => return misplaced("the batch normalisation"),
            },
            OperationKind::Activation(activation) => match self.layers.last_mut() {
                Some(layer) if layer.activation.is_none() && self.pool.is_none() => {
                    layer.activation = Some(activation.clone());
                }
                _ => return misplaced("the activation"),
            },
            OperationKind::Pad(sides) => {
                for (sum, side) in self.pad.iter_mut().zip(sides) {
                    *sum = sum.saturating_add(*side);
                }
            }
            OperationKind::AveragePool(window) if self.pool.is_none() => {
                self.pool = Some(*window);
            }
            OperationKind::AveragePool(_) => return misplaced("the pool"),
            OperationKind::Dense {
                weights,
                layout,
                bias,
                ..
            } => {
                if self.logits.is_some() || self.pool.is_none() {
                    return misplaced("the dense layer");
                }
                self.logits = Some((weights.clone(), *layout, bias.clone()));
            }
            OperationKind::Arithmetic { operator, operand } if self.layers.is_empty() => {
                self.scale_image(*operator, operand, file)?;
            }
            OperationKind::Arithmetic { operator, .. } => {
                return misplaced(&format!("the {operator}"));
            }
            OperationKind::Other(kind) => return misplaced(kind),
        }
        Ok(true)
    }

    fn conv(&mut self, name: &str, conv: &Conv, file: &NamedTensors) -> Result<(), String> {
        let shape = file.tensors.get(&conv.weights).map(|tensor| &tensor.shape);
        let shape = shape
            .ok_or_else(|| format!("`{}`, the weights of `{name}`, are missing", conv.weights))?;
        let &[_, inputs, rows, columns] = conv.layout.our_shape(shape).as_slice() else {
            return Err(format!("weights of shape {shape:?} in `{name}`"));
        };
        let count = self.layers.len();
        if self.pool.is_some() {
            if conv.depthwise || [rows, columns] != [1, 1] {
                return Err(format!("`{name}`, after the pool, is no 1x1 convolution"));
            }
            self.logits = Some((conv.weights.clone(), conv.layout, conv.bias.clone()));
            return Ok(());
        }
        let Some(&endpoint) = self.expected.get(count) else {
            return Err(format!(
                "`{name}`: more than {count} convolutions before the pool (timm's `h` variants have \
                 one more, and are not supported)"
            ));
        };
        let kind = endpoint.kind;
        // With one input channel, full and depthwise convolutions are the same.
        let depthwise = conv.depthwise || (kind == LayerKind::Depthwise && inputs == 1);
        if depthwise != (kind == LayerKind::Depthwise) {
            let found = if depthwise { "a depthwise" } else { "a full" };
            return Err(format!(
                "`{name}` is {found} convolution where MobileNetV1 has {endpoint}"
            ));
        }
        let pad = std::mem::take(&mut self.pad);
        let window = conv.window([rows, columns], pad);
        let window = window.map_err(|problem| format!("`{name}` {problem}"))?;
        self.windows.push(window);
        self.layers.push(GraphLayer {
            endpoint,
            conv: conv.clone(),
            batch_norm: None,
            activation: conv.activation.clone(),
            most: None,
        });
        Ok(())
    }

    fn scale_image(
        &mut self,
        operator: Operator,
        operand: &str,
        file: &NamedTensors,
    ) -> Result<(), String> {
        let values = small(file, operand)
            .ok_or_else(|| format!("`{operand}` is neither a number nor one per channel"))?;
        let affine = self.affine.get_or_insert_default();
        affine
            .then(operator, &values)
            .map_err(|problem| format!("`{operand}` {problem}"))
    }
}

/// The values of a constant with at most one value per channel.
fn small(file: &NamedTensors, name: &str) -> Option<Vec<f64>> {
    let tensor = file.tensors.get(name)?;
    let count = tensor.values.as_ref()?.len();
    if count == 0 || count > MOST_VALUES {
        return None;
    }
    tensor.to_f64()
}
