//! Networks that come as a graph (ONNX, TFLite, Keras' descriptions): names differ by exporter, so
//! parameters are found by following the one chain of operations from the input.
//!
//! ```text
//! [x * scale + offset] -> 27 x ([pad] -> convolution -> [batch norm] -> activation) -> pool -> classifier
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use mobilenet_kernels::{ConvGeometry, Padding};

use super::{keras, keras_counted};
use crate::architecture::{LayerName, Part};
use crate::array::Values;
use crate::checkpoint::layout::Layout;
use crate::checkpoint::metadata::Metadata;
use crate::checkpoint::readers::graph::{
    BatchNorm, Conv, Graph, Operation, OperationKind, Operator, Samples,
};
use crate::checkpoint::readers::{NamedTensors, RawTensor};
use crate::conv_defs::MOBILENET_V1_CONV_DEFS;
use crate::endpoint::{Endpoint, LayerKind};

/// Convolutions of the body: one, and two for each separable one.
const CONVOLUTIONS: usize = 2 * MOBILENET_V1_CONV_DEFS.len() - 1;

/// Most values of a constant that scales or shifts the image: one a channel.
const MOST_CHANNELS: usize = 4;

/// Name and layout of each parameter's tensor.
type ParameterTensors = BTreeMap<(LayerName, Part), (String, Layout)>;

/// The parameters of a graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::checkpoint) struct GraphOrder {
    parameters: ParameterTensors,
    /// Constants that are no weights: bounds, shapes, scales of the image.
    bookkeeping: BTreeSet<String>,
}

/// What a graph says of a network besides its parameters.
#[derive(Debug, Default)]
pub(in crate::checkpoint) struct Facts {
    /// Rows and columns of the image, where they are fixed.
    pub(in crate::checkpoint) size: Option<[usize; 2]>,
    /// How 8-bit samples become numbers.
    pub(in crate::checkpoint) samples: Option<Samples>,
    /// What the network does first: `x * scale + offset`, one value or one a channel.
    pub(in crate::checkpoint) affine: Option<[Vec<f64>; 2]>,
    /// Epsilon of batch normalisation; `None` where it is folded into the convolutions.
    pub(in crate::checkpoint) epsilon: Option<f64>,
    /// What follows each convolution; `None` where nothing does.
    pub(in crate::checkpoint) activations: Vec<Option<String>>,
    /// Windows of the convolutions.
    pub(in crate::checkpoint) windows: Vec<ConvGeometry>,
    /// Window of the pool, the whole map without one.
    pub(in crate::checkpoint) pool: Option<[usize; 2]>,
}

impl GraphOrder {
    pub(super) fn names(&self, layer: LayerName, part: Part) -> Vec<String> {
        match self.parameters.get(&(layer, part)) {
            Some((name, _)) => vec![name.clone()],
            None => vec![format!("{layer} {part:?}")],
        }
    }

    pub(super) fn layout(&self, layer: LayerName, part: Part) -> Layout {
        let parameter = self.parameters.get(&(layer, part));
        parameter.map_or(Layout::Same, |(_, layout)| *layout)
    }

    /// What a graph does not say is as TensorFlow's exporters have it; but in Keras networks that
    /// are not `keras.applications`' own, as people write them.
    pub(super) fn defaults(&self) -> Metadata {
        let stem = LayerName::Body(Endpoint {
            index: 0,
            kind: LayerKind::Conv,
        });
        match self.parameters.get(&(stem, Part::Weights)) {
            Some((name, Layout::Hwio)) if !name.starts_with("conv1/") => keras_counted::defaults(),
            _ => keras::defaults(),
        }
    }

    pub(super) fn is_bookkeeping(&self, name: &str) -> bool {
        self.bookkeeping.contains(name)
    }
}

/// One convolution with what follows it.
struct Layer {
    endpoint: Endpoint,
    conv: Conv,
    batch_norm: Option<BatchNorm>,
    activation: Option<String>,
}

#[derive(Default)]
struct Walk {
    affine: Option<[Vec<f64>; 2]>,
    pad: [usize; 4],
    layers: Vec<Layer>,
    windows: Vec<ConvGeometry>,
    pool: Option<Option<[usize; 2]>>,
    logits: Option<(String, Layout, Option<String>)>,
}

/// Follows a graph of the file's tensors. Parameters that the graph leaves out because they change
/// nothing (a batch normalisation without scale, a convolution without bias) are put into `file`.
///
/// # Errors
/// A sentence, where the graph is no MobileNetV1.
pub(in crate::checkpoint) fn follow(
    graph: &Graph,
    file: &mut NamedTensors,
) -> Result<(GraphOrder, Facts), String> {
    let mut walk = Walk::default();
    let mut takers: HashMap<&str, Vec<&Operation>> = HashMap::new();
    for operation in &graph.operations {
        for input in &operation.inputs {
            if !matches!(operation.kind, OperationKind::Shape) {
                takers.entry(input.as_str()).or_default().push(operation);
            }
        }
    }
    let mut tensor = graph.input.name.as_str();
    // Each step takes an operation away, so that a circle ends.
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
    if walk.layers.len() != CONVOLUTIONS {
        return Err(format!(
            "it has {} convolutions, MobileNetV1 has {CONVOLUTIONS}",
            walk.layers.len()
        ));
    }
    let parameters = walk.parameters(file)?;
    let used: BTreeSet<&String> = parameters.values().map(|(name, _)| name).collect();
    // A tensor may be there under two names, of which one is used.
    let id = |name: &String| file.tensors.get(name)?.values.as_ref().map(Arc::as_ptr);
    let used_values: Vec<_> = used.iter().filter_map(|name| id(name)).collect();
    let bookkeeping = file
        .tensors
        .iter()
        .filter(|(name, tensor)| {
            let Some(values) = &tensor.values else {
                return true;
            };
            let small = values.len() <= MOST_CHANNELS;
            !used.contains(name) && (small || used_values.contains(&Arc::as_ptr(values)))
        })
        .map(|(name, _)| name.clone())
        .collect();
    let facts = Facts {
        size: graph.input.size,
        samples: graph.input.samples,
        affine: walk.affine,
        epsilon: walk.layers[0].batch_norm.as_ref().map(|norm| norm.epsilon),
        activations: walk.layers.iter().map(|l| l.activation.clone()).collect(),
        windows: walk.windows,
        pool: walk.pool.flatten(),
    };
    Ok((
        GraphOrder {
            parameters,
            bookkeeping,
        },
        facts,
    ))
}

impl Walk {
    /// Takes one operation; whether more is to follow.
    fn step(&mut self, operation: &Operation, file: &NamedTensors) -> Result<bool, String> {
        let name = &operation.name;
        let misplaced = |what: &str| Err(format!("{what} `{name}` has no place in MobileNetV1"));
        match &operation.kind {
            OperationKind::PassThrough | OperationKind::Shape => {}
            // What comes after the classes is no part of the network.
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
                return misplaced(&format!("the {operator:?}"));
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
        let kind = match count {
            0 => LayerKind::Conv,
            CONVOLUTIONS.. => {
                let problem = "more than 27 convolutions before the pool (timm's `h` variants have \
                               one more, and are not supported)";
                return Err(format!("`{name}`: {problem}"));
            }
            _ if count % 2 == 1 => LayerKind::Depthwise,
            _ => LayerKind::Pointwise,
        };
        let endpoint = Endpoint {
            index: count.div_ceil(2),
            kind,
        };
        // Of a single channel, a full convolution is a depthwise one.
        let depthwise = conv.depthwise || (kind == LayerKind::Depthwise && inputs == 1);
        if depthwise != (kind == LayerKind::Depthwise) {
            let found = if depthwise { "a depthwise" } else { "a full" };
            return Err(format!(
                "`{name}` is {found} convolution where MobileNetV1 has {endpoint}"
            ));
        }
        let ([stride, across], [dilation, along]) = (conv.stride, conv.dilation);
        if stride != across || dilation != along {
            return Err(format!(
                "`{name}` has other strides for rows than for columns"
            ));
        }
        let [top, left, bottom, right] = std::mem::take(&mut self.pad);
        let padding = match conv.padding {
            padding if [top, left, bottom, right] == [0; 4] => padding,
            Padding::Same => {
                return Err(format!("`{name}` pads by SAME an image already padded"));
            }
            Padding::Explicit {
                top: t,
                bottom: b,
                left: l,
                right: r,
            } => Padding::Explicit {
                top: top.saturating_add(t),
                bottom: bottom.saturating_add(b),
                left: left.saturating_add(l),
                right: right.saturating_add(r),
            },
        };
        self.windows.push(ConvGeometry {
            kernel: [rows, columns],
            stride,
            dilation,
            padding,
        });
        self.layers.push(Layer {
            endpoint,
            conv: conv.clone(),
            batch_norm: None,
            activation: conv.activation.clone(),
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
            .ok_or_else(|| format!("`{operand}` is neither a number nor one a channel"))?;
        let [scale, offset] = self
            .affine
            .get_or_insert_with(|| [vec![1.0; values.len()], vec![0.0; values.len()]]);
        for list in [&mut *scale, &mut *offset] {
            if list.len() == 1 {
                *list = vec![list[0]; values.len()];
            }
        }
        if values.len() != 1 && values.len() != scale.len() {
            return Err(format!("`{operand}` has another number of channels"));
        }
        let values = values.iter().cycle();
        for ((scale, offset), value) in scale.iter_mut().zip(offset).zip(values) {
            match operator {
                Operator::Add => *offset += value,
                Operator::Subtract => *offset -= value,
                Operator::Multiply => (*scale, *offset) = (*scale * value, *offset * value),
                Operator::Divide => (*scale, *offset) = (*scale / value, *offset / value),
            }
        }
        Ok(())
    }

    fn parameters(&self, file: &mut NamedTensors) -> Result<ParameterTensors, String> {
        let first = &self.layers[0];
        let mut parameters = BTreeMap::new();
        for layer in &self.layers {
            let name = LayerName::Body(layer.endpoint);
            let mut put = |part, tensor: String, layout| {
                parameters.insert((name, part), (tensor, layout));
            };
            let channels = channels(file, &layer.conv.weights, layer.conv.layout);
            let mut filled = |tensor: &Option<String>, what: &str, value| match tensor {
                Some(tensor) => Ok(tensor.clone()),
                None => fill(
                    file,
                    format!("{} (no {what})", layer.endpoint),
                    channels,
                    value,
                ),
            };
            match (&layer.batch_norm, &first.batch_norm) {
                (Some(norm), Some(other)) if norm.epsilon == other.epsilon => {
                    put(
                        Part::Gamma,
                        filled(&norm.gamma, "gamma", 1.0)?,
                        Layout::Same,
                    );
                    put(Part::Beta, filled(&norm.beta, "beta", 0.0)?, Layout::Same);
                    put(Part::MovingMean, norm.mean.clone(), Layout::Same);
                    put(Part::MovingVariance, norm.variance.clone(), Layout::Same);
                    if let Some(bias) = &layer.conv.bias {
                        put(Part::Biases, bias.clone(), Layout::Same);
                    }
                }
                (None, None) => {
                    put(
                        Part::Biases,
                        filled(&layer.conv.bias, "bias", 0.0)?,
                        Layout::Same,
                    );
                }
                _ => {
                    return Err(format!(
                        "{} has another batch normalisation than {}",
                        layer.endpoint, first.endpoint
                    ));
                }
            }
            put(Part::Weights, layer.conv.weights.clone(), layer.conv.layout);
        }
        if let Some((weights, layout, bias)) = &self.logits {
            let bias = match bias {
                Some(bias) => bias.clone(),
                None => {
                    let classes = channels(file, weights, *layout);
                    fill(file, "classifier (no bias)".to_string(), classes, 0.0)?
                }
            };
            let logits = LayerName::Logits;
            parameters.insert((logits, Part::Weights), (weights.clone(), *layout));
            parameters.insert((logits, Part::Biases), (bias, Layout::Same));
        }
        Ok(parameters)
    }
}

/// Output channels of weights that are in the file.
fn channels(file: &NamedTensors, weights: &str, layout: Layout) -> usize {
    let tensor = file.tensors.get(weights).filter(|t| t.values.is_some());
    tensor
        .and_then(|tensor| layout.our_shape(&tensor.shape).first().copied())
        .unwrap_or(0)
}

/// Puts a tensor of one value a channel into the file.
fn fill(
    file: &mut NamedTensors,
    name: String,
    channels: usize,
    value: f32,
) -> Result<String, String> {
    // No more channels than the weights themselves have values.
    let values = Values::F32(vec![value; channels]);
    let tensor = RawTensor::new("F32", vec![channels], Some(values));
    file.tensors.insert(name.clone(), tensor);
    Ok(name)
}

/// The values of a constant with at most one value a channel.
fn small(file: &NamedTensors, name: &str) -> Option<Vec<f64>> {
    let tensor = file.tensors.get(name)?;
    let count = tensor.values.as_ref()?.len();
    if count == 0 || count > MOST_CHANNELS {
        return None;
    }
    tensor.to_f64()
}
