//! ONNX's operators on integers, as operations on numbers between those that dequantise their input
//! and quantise their output: `QLinearConv`, and ONNX Runtime's own (`com.microsoft`).

use mobilenet_kernels::integer::Quantized;

use super::nodes::{Node, Nodes};
use crate::checkpoint::layout::Layout;
use crate::checkpoint::readers::graph::OperationKind;
use crate::checkpoint::readers::{Budget, RawTensor, ReadError};

/// An operator on integers.
pub(super) struct OnIntegers {
    input: Quantized,
    output: Quantized,
    kind: OperationKind,
    /// Constants of integers with their scales, by the names that `kind` uses.
    constants: Vec<(String, RawTensor)>,
}

impl Nodes<'_> {
    /// What the integers mean whose scale and zero point are the inputs from `first` on.
    pub(super) fn meaning(&self, node: &Node<'_>, first: usize) -> Option<Quantized> {
        let input = |index: usize| node.inputs.get(index).copied();
        let constants = &self.constants;
        let quantized = &constants.quantized;
        quantized.meaning(input(first)?, input(first + 1), constants.named)
    }

    /// The operator of a node, if it is one on integers.
    ///
    /// # Errors
    /// A sentence, if scales or weights are no constants or do not fit.
    pub(super) fn on_integers(&self, node: &Node<'_>) -> Result<Option<OnIntegers>, String> {
        // Where the output's scale is among the inputs.
        let output = match node.op {
            "QLinearConv" | "QLinearMatMul" => 6,
            "QGemm" => 7,
            "QLinearGlobalAveragePool" | "QLinearAveragePool" | "QLinearSoftmax" => 3,
            _ => return Ok(None),
        };
        let meaning = |first: usize, what: &str| {
            let meaning = self.meaning(node, first);
            meaning.ok_or_else(|| format!("{what} has no constant scale of 8-bit integers"))
        };
        let input = meaning(1, "its input")?;
        let mut constants = Vec::new();
        let kind = match node.op {
            "QLinearConv" => {
                let weights = self.weights(node, 0)?;
                let bias = self.bias(node, 8, input, &weights)?;
                let name = |what: &str| format!("{} of {}", what, node.output);
                let shape = weights.shape.clone();
                let biased = bias.is_some().then(|| name("biases"));
                let conv = self.conv_of(node, name("weights"), &shape, biased)?;
                constants.push((name("weights"), weights));
                constants.extend(bias.map(|bias| (name("biases"), bias)));
                OperationKind::Conv(conv)
            }
            "QGemm" | "QLinearMatMul" => {
                let layout = match node.op {
                    "QGemm" => node.gemm_layout()?,
                    _ => Layout::Dense,
                };
                let weights = self.weights(node, i64::from(layout == Layout::Dense))?;
                let bias = match node.op {
                    "QGemm" => self.bias(node, 6, input, &weights)?,
                    _ => None,
                };
                let name = |what: &str| format!("{} of {}", what, node.output);
                let biased = bias.is_some().then(|| name("biases"));
                constants.push((name("weights"), weights));
                constants.extend(bias.map(|bias| (name("biases"), bias)));
                OperationKind::Dense {
                    weights: name("weights"),
                    layout,
                    bias: biased,
                }
            }
            "QLinearSoftmax" => OperationKind::Softmax,
            _ if node.integer("channels_last") == Some(1) => {
                return Err("channels that come last are not supported".to_string());
            }
            "QLinearAveragePool" => {
                OperationKind::AveragePool(Some(node.pair("kernel_shape", None)?))
            }
            _ => OperationKind::AveragePool(None),
        };
        Ok(Some(OnIntegers {
            input,
            output: meaning(output, "its output")?,
            kind,
            constants,
        }))
    }

    /// The weights of a node: its inputs 3 to 5.
    fn weights(&self, node: &Node<'_>, axis: i64) -> Result<RawTensor, String> {
        let inputs = node.inputs.get(3..6).unwrap_or_default();
        let constants = &self.constants;
        let weights = constants
            .quantized
            .with_scales(inputs, axis, constants.named)?;
        weights.ok_or_else(|| "its weights are no constant".to_string())
    }

    /// The biases of a node, if it has any.
    fn bias(
        &self,
        node: &Node<'_>,
        index: usize,
        input: Quantized,
        weights: &RawTensor,
    ) -> Result<Option<RawTensor>, String> {
        let Some(name) = node.inputs.get(index).filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let scales = weights.quantization.iter().flat_map(|q| &q.scales);
        let scales = scales.map(|scale| input.scale * scale).collect();
        let bias = self.constants.quantized.biases(name, scales);
        bias.map(Some)
            .ok_or_else(|| format!("its biases `{name}` are no constant"))
    }

    /// Appends the operations of an operator on integers.
    pub(super) fn push_on_integers(
        &mut self,
        node: &Node<'_>,
        operator: OnIntegers,
        budget: &mut Budget,
    ) -> Result<(), ReadError> {
        let OnIntegers {
            input,
            output,
            kind,
            constants,
        } = operator;
        if let Some(scale) = node.inputs.get(4).filter(|_| !constants.is_empty()) {
            self.constants.quantized.forget_later(scale);
        }
        for (name, tensor) in constants {
            budget.take(&name, (name.len() + size_of::<RawTensor>()) as u64)?;
            self.constants.named.insert(name, tensor)?;
        }
        let from = node.inputs.first().copied().unwrap_or_default();
        let (numbers, result) = (
            format!("numbers for {}", node.output),
            format!("numbers of {}", node.output),
        );
        budget.take("node", 6 * node.output.len() as u64)?;
        let dequantize = OperationKind::Dequantize(input);
        self.push(&numbers, vec![from.to_string()], &numbers, dequantize);
        self.push(node.name(), vec![numbers], &result, kind);
        let quantize = OperationKind::Quantize(output);
        self.push(&result, vec![result.clone()], node.output, quantize);
        Ok(())
    }
}
