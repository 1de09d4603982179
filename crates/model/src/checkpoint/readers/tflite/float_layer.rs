//! A convolution of a TFLite file that computes with numbers.

use std::collections::HashMap;

use mobilenet_kernels::inference::LayerShape;
use mobilenet_kernels::{Activation, ConvGeometry, ConvKind, Padding};

use super::operators::builtin;
use super::tensors::{Described, constant, malformed};
use crate::array::Array;
use crate::checkpoint::layout::Layout;
use crate::checkpoint::readers::flatbuffer::Table;
use crate::checkpoint::readers::{Budget, ReadError};

/// A layer with its weights.
#[derive(Debug, Clone)]
pub struct FloatLayer {
    /// The name of its output.
    pub name: String,
    /// Kind, window, channels and activation.
    pub shape: LayerShape,
    /// `[out, in, rows, columns]`; `in` is 1 in a depthwise layer.
    pub weights: Vec<f32>,
    /// `[out]`.
    pub bias: Vec<f32>,
}

/// The tensors of a file.
pub(super) struct Constants<'a> {
    pub(super) tensors: &'a [Described<'a>],
    /// The constants of which operators make tensors of numbers.
    pub(super) sources: HashMap<usize, usize>,
}

impl<'a> Constants<'a> {
    pub(super) fn new(tensors: &'a [Described<'a>]) -> Self {
        Self {
            tensors,
            sources: HashMap::new(),
        }
    }

    /// A constant's shape and numbers.
    fn numbers(
        &self,
        place: &str,
        index: Option<&usize>,
        budget: &mut Budget,
    ) -> Result<Array, ReadError> {
        let no_constant = || malformed(place, "its weights or biases are no constant");
        let index = index.ok_or_else(no_constant)?;
        let source = self.sources.get(index).unwrap_or(index);
        let tensor = &self.tensors[*source];
        let raw = constant(tensor, Some(tensor.data.ok_or_else(no_constant)?), budget)?;
        budget.take(&tensor.name, 4 * raw.shape.iter().product::<usize>() as u64)?;
        let numbers = raw.to_f32().ok_or_else(no_constant)?.into_owned();
        Array::new(raw.shape.as_slice(), numbers)
            .map_err(|error| ReadError::tensor(&tensor.name, error.to_string()))
    }

    /// The layer of an operator.
    pub(super) fn layer(
        &self,
        place: &str,
        operator: &Table<'_>,
        code: i32,
        inputs: &[usize],
        output: usize,
        budget: &mut Budget,
    ) -> Result<FloatLayer, ReadError> {
        let wrong = |problem: &str| malformed(place, problem);
        // Fields of the options: fused activation and dilations.
        let (kind, layout, fused, dilation) = match code {
            builtin::CONV_2D => (ConvKind::Conv, Layout::Ohwi, 3, [4, 5]),
            builtin::DEPTHWISE_CONV_2D => (ConvKind::Depthwise, Layout::OneHwc, 4, [5, 6]),
            _ => return Err(wrong("it is no convolution")),
        };
        let options = operator.table(4);
        let size = |field: usize| {
            let value = options.and_then(|options| options.i32(field)).unwrap_or(1);
            usize::try_from(value).map_err(|_| wrong("a negative stride or dilation"))
        };
        let byte = |field: usize| options.and_then(|options| options.u8(field)).unwrap_or(0);
        let (stride, along) = ([size(1)?, size(2)?], dilation.map(size));
        let [Ok(dilation), Ok(other)] = along else {
            return Err(wrong("a negative dilation"));
        };
        if stride[0] != stride[1] || dilation != other {
            return Err(wrong(
                "its stride or dilation differs between rows and columns",
            ));
        }
        let weights = self.numbers(place, inputs.get(1), budget)?;
        let ours = layout.our_shape(weights.shape());
        let &[out_channels, of_one, rows, columns] = ours.as_slice() else {
            return Err(wrong("its weights have no four axes"));
        };
        let weights = layout
            .to_ours(weights, &ours)
            .map_err(|error| wrong(&error.to_string()))?;
        let bias = match inputs.get(2) {
            Some(_) => self.numbers(place, inputs.get(2), budget)?.into_values(),
            None => vec![0.0; out_channels],
        };
        Ok(FloatLayer {
            name: self.tensors[output].name.clone(),
            shape: LayerShape {
                kind,
                geometry: ConvGeometry {
                    kernel: [rows, columns],
                    stride: stride[0],
                    dilation,
                    padding: match byte(0) {
                        0 => Padding::Same,
                        1 => Padding::VALID,
                        _ => return Err(wrong("unknown padding")),
                    },
                },
                in_channels: match kind {
                    ConvKind::Conv => of_one,
                    ConvKind::Depthwise => out_channels,
                },
                out_channels,
                activation: match byte(fused) {
                    0 => Activation::Identity,
                    1 => Activation::Relu,
                    3 => Activation::Relu6,
                    _ => return Err(wrong("its fused activation is not supported")),
                },
            },
            weights: weights.into_values(),
            bias,
        })
    }
}
