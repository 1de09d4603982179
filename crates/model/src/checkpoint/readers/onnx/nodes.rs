//! Translates ONNX nodes to operations.

use mobilenet_kernels::Padding;

use super::constants::Constants;
use crate::checkpoint::layout::Layout;
use crate::checkpoint::readers::graph::{BatchNorm, Conv, Operation, OperationKind, Operator};
use crate::checkpoint::readers::protobuf::{Field, next_field, push_integers, text};
use crate::checkpoint::readers::{Budget, ReadError};

/// `NodeProto { repeated string input = 1, repeated string output = 2, string name = 3,
/// string op_type = 4, repeated AttributeProto attribute = 5 }`.
#[derive(Default)]
pub(super) struct Node<'a> {
    pub(super) inputs: Vec<&'a str>,
    pub(super) output: &'a str,
    name: &'a str,
    pub(super) op: &'a str,
    attributes: Vec<Attribute<'a>>,
}

/// `AttributeProto { string name = 1, float f = 2, int64 i = 3, bytes s = 4, TensorProto t = 5,
/// repeated int64 ints = 8 }`.
#[derive(Default)]
struct Attribute<'a> {
    name: &'a str,
    float: Option<f32>,
    integers: Vec<i64>,
    text: Option<&'a [u8]>,
    tensor: Option<&'a [u8]>,
}

/// Bytes of memory for a node, beyond those of its parts.
const NODE: u64 = (size_of::<Operation>() + size_of::<Node>()) as u64;

/// Reads nodes. ONNX lists them in the order of computation.
pub(super) struct Nodes<'a> {
    pub(super) constants: Constants<'a>,
    operations: Vec<Operation>,
}

impl<'a> Nodes<'a> {
    pub(super) fn new(constants: Constants<'a>) -> Self {
        let operations = Vec::new();
        Self {
            constants,
            operations,
        }
    }

    pub(super) fn read(&mut self, bytes: &[u8], budget: &mut Budget) -> Result<(), ReadError> {
        // An empty string takes two bytes of the file, but a pointer here, and later a name.
        let parts = size_of::<String>() + size_of::<Attribute>();
        budget.take("node", NODE + (bytes.len() * parts) as u64)?;
        let node = Node::parse(bytes)?;
        let tensors = &mut self.constants.named.tensors;
        // Nodes that only give a tensor a name: `Constant`, and `Identity` of a constant.
        if node.op == "Constant" {
            let tensor = node.attributes.iter().find_map(|a| a.tensor);
            return match tensor {
                Some(tensor) => self.constants.read(tensor, Some(node.output), budget),
                None => Ok(()),
            };
        }
        if let ("Identity", &[source]) = (node.op, node.inputs.as_slice())
            && let Some(tensor) = tensors.get(source).cloned()
        {
            return self.constants.named.insert(node.output.to_string(), tensor);
        }
        if node.op == "DequantizeLinear" && self.dequantized(&node)? {
            return Ok(());
        }
        let tensors = &self.constants.named.tensors;
        let integers = &mut self.constants.integers;
        let attribute = |name: &str| node.attribute(name).map(|a| a.integers.clone());
        if integers.evaluate(node.op, &node.inputs, node.output, attribute) {
            return Ok(());
        }
        let is_constant = |name: &str| tensors.contains_key(name) || integers.contains(name);
        let inputs = node
            .inputs
            .iter()
            .filter(|input| !input.is_empty() && !is_constant(input))
            .map(|input| (*input).to_string())
            .collect();
        let wrong = |problem: String| node.wrong(problem);
        match self.on_integers(&node).map_err(wrong)? {
            Some(operation) => self.push_on_integers(&node, operation, budget),
            None => {
                let kind = self.kind(&node).map_err(wrong)?;
                self.push(node.name(), inputs, node.output, kind);
                Ok(())
            }
        }
    }

    /// Appends an operation.
    pub(super) fn push(
        &mut self,
        name: &str,
        inputs: Vec<String>,
        output: &str,
        kind: OperationKind,
    ) {
        self.operations.push(Operation {
            name: name.to_string(),
            inputs,
            output: output.to_string(),
            kind,
        });
    }

    /// Keeps the constant that a node dequantises. Returns whether it is a constant.
    fn dequantized(&mut self, node: &Node<'_>) -> Result<bool, ReadError> {
        let axis = node.integer("axis").unwrap_or(1);
        let Constants {
            named, quantized, ..
        } = &mut self.constants;
        let tensor = quantized
            .dequantized(&node.inputs, axis, named)
            .map_err(|problem| node.wrong(problem))?;
        match tensor {
            Some(tensor) => named.insert(node.output.to_string(), tensor).map(|()| true),
            None => Ok(false),
        }
    }

    /// The operations. Afterwards, the file's tensors are those that can be parameters.
    pub(super) fn finish(self) -> Vec<Operation> {
        self.constants.quantized.forget_scales(self.constants.named);
        self.operations
    }

    fn kind(&self, node: &Node<'_>) -> Result<OperationKind, String> {
        Ok(match node.op {
            "Conv" => self.conv(node)?,
            "BatchNormalization" => OperationKind::BatchNorm(BatchNorm {
                gamma: Some(node.input(1)?),
                beta: Some(node.input(2)?),
                mean: node.input(3)?,
                variance: node.input(4)?,
                epsilon: node.float("epsilon").unwrap_or(1e-5),
            }),
            "Clip" => OperationKind::Activation(self.clip(node)),
            "Relu" => OperationKind::Activation("relu".to_string()),
            "LeakyRelu" | "PRelu" | "Elu" | "Selu" | "HardSwish" | "HardSigmoid" | "Sigmoid"
            | "Tanh" | "Gelu" | "Mish" => OperationKind::Activation(node.op.to_string()),
            "Pad" => self.pad(node)?,
            "GlobalAveragePool" => OperationKind::AveragePool(None),
            "ReduceMean" => {
                let axes = self.integers(node, "axes", 1).unwrap_or_default();
                match axes.as_slice() {
                    [2, 3] | [-2, -1] | [-1, -2] | [3, 2] => OperationKind::AveragePool(None),
                    _ => OperationKind::Other(format!("ReduceMean over {axes:?}")),
                }
            }
            "AveragePool" => OperationKind::AveragePool(Some(node.pair("kernel_shape", None)?)),
            "Gemm" => OperationKind::Dense {
                weights: node.input(1)?,
                layout: node.gemm_layout()?,
                bias: node.input(2).ok(),
            },
            "MatMul" if self.is_constant(node, 1) => OperationKind::Dense {
                weights: node.input(1)?,
                layout: Layout::Dense,
                bias: None,
            },
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node)?,
            "Identity" | "Dropout" | "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze"
            | "Transpose" | "Cast" | "LogSoftmax" => OperationKind::PassThrough,
            "Softmax" => OperationKind::Softmax,
            // Others than 8-bit integers only round.
            "QuantizeLinear" => match self.meaning(node, 1) {
                Some(quantized) => OperationKind::Quantize(quantized),
                None => OperationKind::PassThrough,
            },
            "DequantizeLinear" => match self.meaning(node, 1) {
                Some(quantized) => OperationKind::Dequantize(quantized),
                None => OperationKind::PassThrough,
            },
            "Shape" => OperationKind::Shape,
            other => OperationKind::Other(other.to_string()),
        })
    }

    fn conv(&self, node: &Node<'_>) -> Result<OperationKind, String> {
        let shape = self.constants.named.tensors.get(&node.input(1)?);
        let shape = shape.map(|tensor| tensor.shape.clone()).unwrap_or_default();
        let conv = self.conv_of(node, node.input(1)?, &shape, node.input(2).ok())?;
        Ok(OperationKind::Conv(conv))
    }

    /// A convolution with weights of a shape, and perhaps biases.
    pub(super) fn conv_of(
        &self,
        node: &Node<'_>,
        weights: String,
        shape: &[usize],
        bias: Option<String>,
    ) -> Result<Conv, String> {
        let auto_pad = node.text("auto_pad").unwrap_or_default();
        let padding = match auto_pad.as_str() {
            "SAME_UPPER" => Padding::Same,
            "VALID" => Padding::VALID,
            "" | "NOTSET" => match self.integers(node, "pads", usize::MAX) {
                None => Padding::VALID,
                Some(pads) => {
                    let [top, left, bottom, right] = sizes(&pads)?;
                    Padding::Explicit {
                        top,
                        bottom,
                        left,
                        right,
                    }
                }
            },
            other => return Err(format!("padding {other} is not supported")),
        };
        let depthwise = match (node.integer("group").unwrap_or(1), shape) {
            (1, _) => false,
            (groups, &[out, 1, ..])
                if usize::try_from(groups).is_ok_and(|groups| out.is_multiple_of(groups)) =>
            {
                true
            }
            (groups, _) => return Err(format!("{groups} groups for weights {shape:?}")),
        };
        Ok(Conv {
            weights,
            layout: Layout::Same,
            depthwise,
            bias,
            stride: node.pair("strides", Some([1, 1]))?,
            dilation: node.pair("dilations", Some([1, 1]))?,
            padding,
            activation: None,
        })
    }

    /// Bounds are attributes before opset 11, and inputs since.
    fn clip(&self, node: &Node<'_>) -> String {
        let bound = |name: &str, index: usize| {
            let constant = || {
                let tensor = self.constants.named.tensors.get(*node.inputs.get(index)?)?;
                tensor.scalar()
            };
            node.float(name).or_else(constant)
        };
        match (bound("min", 1), bound("max", 2)) {
            (Some(0.0), Some(6.0)) => "relu6".to_string(),
            (Some(0.0), None) => "relu".to_string(),
            (min, max) => {
                let shown =
                    |bound: Option<f64>| bound.map_or("none".to_string(), |b| b.to_string());
                format!("Clip({}, {})", shown(min), shown(max))
            }
        }
    }

    fn pad(&self, node: &Node<'_>) -> Result<OperationKind, String> {
        if node.text("mode").is_some_and(|mode| mode != "constant") {
            return Ok(OperationKind::Other("Pad of another mode".to_string()));
        }
        let pads = self
            .integers(node, "pads", 1)
            .ok_or("paddings that are computed are not supported")?;
        let [0, 0, top, left, 0, 0, bottom, right] = sizes(&pads)? else {
            return Err(format!("padding {pads:?} is not of rows and columns"));
        };
        Ok(OperationKind::Pad([top, left, bottom, right]))
    }

    fn arithmetic(&self, node: &Node<'_>) -> Result<OperationKind, String> {
        let operator = match node.op {
            "Add" => Operator::Add,
            "Sub" => Operator::Subtract,
            "Mul" => Operator::Multiply,
            _ => Operator::Divide,
        };
        let commutes = matches!(operator, Operator::Add | Operator::Multiply);
        let operand = if self.is_constant(node, 1) {
            node.input(1)?
        } else if commutes && self.is_constant(node, 0) {
            node.input(0)?
        } else {
            return Ok(OperationKind::Other(node.op.to_string()));
        };
        Ok(OperationKind::Arithmetic { operator, operand })
    }

    fn is_constant(&self, node: &Node<'_>, index: usize) -> bool {
        let tensors = &self.constants.named.tensors;
        node.inputs
            .get(index)
            .is_some_and(|name| tensors.contains_key(*name))
    }

    /// Integers of an attribute or of a constant input.
    fn integers(&self, node: &Node<'_>, name: &str, input: usize) -> Option<Vec<i64>> {
        let attribute = node.attribute(name).map(|a| a.integers.clone());
        attribute.or_else(|| {
            let name = node.inputs.get(input)?;
            self.constants.integers.values(name)
        })
    }
}

impl<'a> Node<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, ReadError> {
        let place = "node";
        let mut node = Node::default();
        let mut rest = bytes;
        while let Some(field) = next_field(&mut rest, place)? {
            match field {
                Field::Bytes(1, input) => node.inputs.push(text(input, place)?),
                // Only the first output: the others are statistics.
                Field::Bytes(2, output) if node.output.is_empty() => {
                    node.output = text(output, place)?;
                }
                Field::Bytes(3, name) => node.name = text(name, place)?,
                Field::Bytes(4, op) => node.op = text(op, place)?,
                Field::Bytes(5, attribute) => node.attributes.push(Attribute::parse(attribute)?),
                _ => {}
            }
        }
        Ok(node)
    }

    /// Its name, or that of its output.
    pub(super) fn name(&self) -> &'a str {
        match self.name {
            "" => self.output,
            name => name,
        }
    }

    pub(super) fn wrong(&self, problem: String) -> ReadError {
        ReadError::malformed(format!("node `{}`", self.name()), problem)
    }

    /// Layout of the second factor of a `Gemm`.
    pub(super) fn gemm_layout(&self) -> Result<Layout, String> {
        let factors = [self.float("alpha"), self.float("beta")];
        if factors.into_iter().flatten().any(|factor| factor != 1.0) {
            return Err("Gemm with factors is not supported".to_string());
        }
        Ok(match self.integer("transB") {
            Some(1) => Layout::Linear,
            _ => Layout::Dense,
        })
    }

    pub(super) fn input(&self, index: usize) -> Result<String, String> {
        match self.inputs.get(index) {
            Some(name) if !name.is_empty() => Ok((*name).to_string()),
            _ => Err(format!("{} without its input {index}", self.op)),
        }
    }

    fn attribute(&self, name: &str) -> Option<&Attribute<'a>> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// The short decimal that was rounded to an f32: 0.001, not 0.0010000000474974513.
    fn float(&self, name: &str) -> Option<f64> {
        let float = self.attribute(name)?.float?;
        Some(float.to_string().parse().unwrap_or(f64::from(float)))
    }

    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.integers.first().copied()
    }

    fn text(&self, name: &str) -> Option<String> {
        let text = self.attribute(name)?.text?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    pub(super) fn pair(
        &self,
        name: &str,
        default: Option<[usize; 2]>,
    ) -> Result<[usize; 2], String> {
        match (self.attribute(name), default) {
            (Some(attribute), _) => sizes(&attribute.integers),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(format!("{} without {name}", self.op)),
        }
    }
}

impl<'a> Attribute<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, ReadError> {
        let place = "attribute";
        let mut attribute = Attribute::default();
        let mut rest = bytes;
        while let Some(field) = next_field(&mut rest, place)? {
            match field {
                Field::Bytes(1, name) => attribute.name = text(name, place)?,
                Field::Fixed32(2, bits) => attribute.float = Some(f32::from_le_bytes(bits)),
                Field::Varint(3 | 8, _) | Field::Bytes(8, _) => {
                    push_integers(&field, &mut attribute.integers, place)?;
                }
                Field::Bytes(4, text) => attribute.text = Some(text),
                Field::Bytes(5, tensor) => attribute.tensor = Some(tensor),
                _ => {}
            }
        }
        Ok(attribute)
    }
}

fn sizes<const N: usize>(values: &[i64]) -> Result<[usize; N], String> {
    let wrong = || format!("expected {N} sizes, found {values:?}");
    let values = values
        .iter()
        .map(|&value| usize::try_from(value))
        .collect::<Result<Vec<usize>, _>>()
        .map_err(|_| wrong())?;
    values.try_into().map_err(|_| wrong())
}
