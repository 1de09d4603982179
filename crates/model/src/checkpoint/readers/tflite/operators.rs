//! Translates TFLite operators to operations.

use std::collections::HashMap;

use mobilenet_kernels::Padding;

use super::tensors::{Described, malformed};
use crate::checkpoint::layout::Layout;
use crate::checkpoint::readers::flatbuffer::{Elements, Table};
use crate::checkpoint::readers::graph::{Conv, Operation, OperationKind, Operator};
use crate::checkpoint::readers::{Budget, NamedTensors, ReadError};

/// Numbers of `BuiltinOperator` in the schema.
pub(super) mod builtin {
    pub(in super::super) const ADD: i32 = 0;
    pub(in super::super) const AVERAGE_POOL_2D: i32 = 1;
    pub(in super::super) const CONCATENATION: i32 = 2;
    pub(in super::super) const CONV_2D: i32 = 3;
    pub(in super::super) const DEPTHWISE_CONV_2D: i32 = 4;
    pub(in super::super) const DEQUANTIZE: i32 = 6;
    pub(in super::super) const FULLY_CONNECTED: i32 = 9;
    pub(in super::super) const LOGISTIC: i32 = 14;
    pub(in super::super) const MUL: i32 = 18;
    pub(in super::super) const RELU: i32 = 19;
    pub(in super::super) const RELU6: i32 = 21;
    pub(in super::super) const RESHAPE: i32 = 22;
    pub(in super::super) const SOFTMAX: i32 = 25;
    pub(in super::super) const PAD: i32 = 34;
    pub(in super::super) const MEAN: i32 = 40;
    pub(in super::super) const SUB: i32 = 41;
    pub(in super::super) const DIV: i32 = 42;
    pub(in super::super) const SQUEEZE: i32 = 43;
    pub(in super::super) const STRIDED_SLICE: i32 = 45;
    pub(in super::super) const SHAPE: i32 = 77;
    pub(in super::super) const PACK: i32 = 83;
    pub(in super::super) const LEAKY_RELU: i32 = 98;
    pub(in super::super) const QUANTIZE: i32 = 114;
    pub(in super::super) const HARD_SWISH: i32 = 117;
}

/// Translates one operator. `None` if it only dequantises a constant.
pub(super) fn operation(
    place: &str,
    operator: &Table<'_>,
    codes: &Elements<'_>,
    tensors: &[Described<'_>],
    integers: &HashMap<usize, Vec<i64>>,
    named: &mut NamedTensors,
    budget: &mut Budget,
) -> Result<Option<Operation>, ReadError> {
    let indices = |field: usize| -> Result<Vec<usize>, ReadError> {
        let Some(listed) = operator.elements(field, 4) else {
            return Ok(Vec::new());
        };
        budget_of(listed.len, budget)?;
        // -1 means that an optional tensor is absent.
        Ok((0..listed.len)
            .filter_map(|i| usize::try_from(listed.i32(i)?).ok())
            .filter(|&index| index < tensors.len())
            .collect())
    };
    let mut indices = indices;
    let (inputs, outputs) = (indices(1)?, indices(2)?);
    let output = outputs
        .first()
        .map(|&index| tensors[index].name.clone())
        .ok_or_else(|| malformed(place, "it has no output"))?;
    let (code, name) = builtin_code(operator, codes)
        .ok_or_else(|| malformed(place, "its code is outside the list"))?;
    // Weights in half precision are converted by an operator: keep the tensor under its new name.
    if code == builtin::DEQUANTIZE
        && let Some(&source) = inputs.first()
        && let Some(tensor) = named.tensors.get(&tensors[source].name).cloned()
    {
        named.insert(output, tensor)?;
        return Ok(None);
    }
    let node = Node {
        tensors,
        integers,
        options: operator.table(4),
        inputs: &inputs,
        named,
    };
    let kind = match name {
        Some(name) => OperationKind::Other(name),
        None => node
            .kind(code)
            .map_err(|problem| malformed(&format!("{place} (`{output}`)"), problem))?,
    };
    Ok(Some(Operation {
        name: output.clone(),
        inputs: inputs
            .iter()
            .map(|&index| tensors[index].name.clone())
            .filter(|name| !named.tensors.contains_key(name))
            .collect(),
        output,
        kind,
    }))
}

/// Counts the names of the listed tensors.
fn budget_of(count: usize, budget: &mut Budget) -> Result<(), ReadError> {
    budget.take("TFLite operators", 256 * count as u64)
}

/// The operator's number, and its name if it is a custom operator.
pub(super) fn builtin_code(
    operator: &Table<'_>,
    codes: &Elements<'_>,
) -> Option<(i32, Option<String>)> {
    let index = usize::try_from(operator.i32(0).unwrap_or(0)).ok()?;
    let code = codes.table(index)?;
    let custom = code.text(1).map(|name| name.chars().take(64).collect());
    // The schema has an older 8-bit field for numbers below 127.
    let number = code.i32(3).unwrap_or(0).max(code.u8(0).unwrap_or(0).into());
    Some((number, custom))
}

struct Node<'a> {
    tensors: &'a [Described<'a>],
    integers: &'a HashMap<usize, Vec<i64>>,
    options: Option<Table<'a>>,
    inputs: &'a [usize],
    named: &'a NamedTensors,
}

impl Node<'_> {
    fn kind(&self, code: i32) -> Result<OperationKind, String> {
        let fused = |field: usize| fused_activation(self.byte(field));
        Ok(match code {
            builtin::CONV_2D => self.conv(Layout::Ohwi, false, fused(3), [4, 5])?,
            builtin::DEPTHWISE_CONV_2D => self.conv(Layout::OneHwc, true, fused(4), [5, 6])?,
            builtin::FULLY_CONNECTED => OperationKind::Dense {
                weights: self.parameter(1)?,
                layout: Layout::Linear,
                bias: self.parameter(2).ok(),
            },
            builtin::AVERAGE_POOL_2D => {
                OperationKind::AveragePool(Some([self.size(4, 1)?, self.size(3, 1)?]))
            }
            builtin::MEAN => {
                let axes = self.constant(1);
                match axes.as_deref() {
                    Some([1, 2] | [2, 1] | [-3, -2] | [-2, -3]) => OperationKind::AveragePool(None),
                    _ => OperationKind::Other(format!("MEAN over {axes:?}")),
                }
            }
            builtin::PAD => match self.constant(1).as_deref() {
                Some(&[0, 0, top, bottom, left, right, 0, 0]) => {
                    let side = |n: i64| usize::try_from(n).map_err(|error| error.to_string());
                    let sides = [side(top)?, side(left)?, side(bottom)?, side(right)?];
                    OperationKind::Pad(sides)
                }
                other => return Err(format!("padding {other:?} is not of rows and columns")),
            },
            builtin::RELU => OperationKind::Activation("relu".to_string()),
            builtin::RELU6 => OperationKind::Activation("relu6".to_string()),
            builtin::LEAKY_RELU => OperationKind::Activation("LEAKY_RELU".to_string()),
            builtin::HARD_SWISH => OperationKind::Activation("HARD_SWISH".to_string()),
            builtin::ADD => self.arithmetic(Operator::Add, "ADD"),
            builtin::SUB => self.arithmetic(Operator::Subtract, "SUB"),
            builtin::MUL => self.arithmetic(Operator::Multiply, "MUL"),
            builtin::DIV => self.arithmetic(Operator::Divide, "DIV"),
            builtin::RESHAPE
            | builtin::SQUEEZE
            | builtin::SOFTMAX
            | builtin::QUANTIZE
            | builtin::DEQUANTIZE => OperationKind::PassThrough,
            builtin::SHAPE => OperationKind::Shape,
            other => OperationKind::Other(format!("builtin operator {other}")),
        })
    }

    fn conv(
        &self,
        layout: Layout,
        depthwise: bool,
        activation: Option<String>,
        dilation: [usize; 2],
    ) -> Result<OperationKind, String> {
        let [width, height] = dilation;
        Ok(OperationKind::Conv(Conv {
            weights: self.parameter(1)?,
            layout,
            depthwise,
            bias: self.parameter(2).ok(),
            stride: [self.size(2, 1)?, self.size(1, 1)?],
            dilation: [self.size(height, 1)?, self.size(width, 1)?],
            padding: match self.byte(0) {
                0 => Padding::Same,
                1 => Padding::VALID,
                other => return Err(format!("unknown padding {other}")),
            },
            activation,
        }))
    }

    fn arithmetic(&self, operator: Operator, name: &str) -> OperationKind {
        match self.parameter(1) {
            Ok(operand) => OperationKind::Arithmetic { operator, operand },
            Err(_) => OperationKind::Other(name.to_string()),
        }
    }

    /// Name of an input, which must be a constant.
    fn parameter(&self, index: usize) -> Result<String, String> {
        self.inputs
            .get(index)
            .map(|&tensor| &self.tensors[tensor].name)
            .filter(|name| self.named.tensors.contains_key(*name))
            .cloned()
            .ok_or_else(|| format!("its input {index} is no constant"))
    }

    fn constant(&self, index: usize) -> Option<Vec<i64>> {
        self.integers.get(self.inputs.get(index)?).cloned()
    }

    fn byte(&self, field: usize) -> u8 {
        self.options
            .and_then(|options| options.u8(field))
            .unwrap_or(0)
    }

    fn size(&self, field: usize, default: usize) -> Result<usize, String> {
        let value = self.options.and_then(|options| options.i32(field));
        value.map_or(Ok(default), |value| {
            usize::try_from(value).map_err(|error| error.to_string())
        })
    }
}

fn fused_activation(number: u8) -> Option<String> {
    match number {
        0 => None,
        1 => Some("relu".to_string()),
        2 => Some("ReLU from -1 to 1".to_string()),
        3 => Some("relu6".to_string()),
        other => Some(format!("fused activation {other}")),
    }
}
