//! A quantised TFLite file as a network of integers, layer by layer in the file's order.

use mobilenet_kernels::integer::{
    IntegerLayer, IntegerNetwork, IntegerOperation, IntegerType, Integers, Quantized,
    QuantizedConvolution, QuantizedWeights, ValueKind,
};
use mobilenet_kernels::{Activation, ConvGeometry, ConvKind, Padding};

use super::operators::{builtin, builtin_code};
use super::tables::{RECORD, Tables, missing};
use super::tensors::{Described, describe, kind, malformed, quantization, small_integers};
use crate::checkpoint::readers::flatbuffer::Table;
use crate::checkpoint::readers::{Budget, ReadError, ReadLimits, check_bias_scales, volume};

/// Whether a convolution of a TFLite file reads 8-bit integers.
///
/// # Errors
/// If the bytes break the format's rules or exceed the limits.
pub fn has_integers(bytes: &[u8], limits: ReadLimits) -> Result<bool, ReadError> {
    let budget = &mut Budget::new(limits);
    budget.opened(bytes.len() as u64);
    let tables = Tables::of(bytes)?;
    for index in 0..tables.operators.len {
        let Some(operator) = tables.operators.table(index) else {
            continue;
        };
        if matches!(
            builtin_code(&operator, &tables.codes),
            Some((builtin::CONV_2D, None))
        ) {
            let input = operator.elements(1, 4).and_then(|inputs| inputs.i32(0));
            let input = input.and_then(|index| usize::try_from(index).ok());
            let Some(input) = input.filter(|&index| index < tables.tensors.len) else {
                return Ok(false);
            };
            let tensor = describe(&tables.tensors, input, &tables.buffers, budget)?;
            return Ok(matches!(tensor.kind, kind::UINT8 | kind::INT8));
        }
    }
    Ok(false)
}

/// Reads a quantised file as integers.
///
/// # Errors
/// If the bytes break the format's rules or exceed the limits, or the operators are not a chain of
/// those that quantised networks of this kind have.
pub fn read_integers(bytes: &[u8], limits: ReadLimits) -> Result<IntegerNetwork, ReadError> {
    let budget = &mut Budget::new(limits);
    budget.opened(bytes.len() as u64);
    let tables = Tables::of(bytes)?;
    let mut tensors = Vec::new();
    for index in 0..tables.tensors.len {
        budget.take("TFLite tensors", RECORD)?;
        tensors.push(describe(&tables.tensors, index, &tables.buffers, budget)?);
    }
    let index_of = |list: Option<i32>| {
        let index = list.and_then(|index| usize::try_from(index).ok());
        index.filter(|&index| index < tensors.len())
    };
    let input = index_of(tables.inputs.i32(0)).ok_or_else(|| missing("input"))?;
    let output = tables.outputs.filter(|outputs| outputs.len == 1);
    let output = output.and_then(|outputs| index_of(outputs.i32(0)));
    let output = output.ok_or_else(|| missing("single output"))?;
    let &[_, rows, columns, channels] = tensors[input].shape.as_slice() else {
        let shape = &tensors[input].shape;
        let problem = format!("an input of shape {shape:?} is no batch of images");
        return Err(malformed("TFLite model", problem));
    };
    let mut chain = Chain::new(&tensors, input);
    for index in 0..tables.operators.len {
        budget.take("TFLite operators", RECORD)?;
        let place = format!("TFLite operator {index}");
        let operator = tables
            .operators
            .table(index)
            .ok_or_else(|| malformed(&place, "it is outside the file"))?;
        let code = builtin_code(&operator, &tables.codes)
            .ok_or_else(|| malformed(&place, "its code is outside the list"))?;
        chain.add(&place, &operator, code, budget)?;
    }
    if chain.current != output || chain.padding.is_some() {
        let problem = "its operators do not lead from the input to the output one after another";
        return Err(malformed("TFLite model", problem));
    }
    Ok(IntegerNetwork {
        input_shape: [rows, columns, channels],
        input: values_of(&tensors[input])?,
        layers: chain.layers,
    })
}

/// The operators so far.
pub(super) struct Chain<'a> {
    pub(super) tensors: &'a [Described<'a>],
    /// Index of the tensor that the next layer reads.
    pub(super) current: usize,
    /// Rows above and below and columns left and right, to be added to the next convolution's.
    padding: Option<[usize; 4]>,
    pub(super) layers: Vec<IntegerLayer>,
}

/// What a tensor's values are.
pub(super) fn values_of(tensor: &Described<'_>) -> Result<ValueKind, ReadError> {
    let integer = match tensor.kind {
        kind::FLOAT32 => return Ok(ValueKind::F32),
        kind::UINT8 => IntegerType::U8,
        kind::INT8 => IntegerType::I8,
        other => {
            let problem = format!("activations of TFLite type {other} are not supported");
            return Err(ReadError::tensor(&tensor.name, problem));
        }
    };
    let quantization =
        quantization(tensor)?.ok_or_else(|| ReadError::tensor(&tensor.name, "it has no scale"))?;
    match (
        quantization.scales.as_slice(),
        quantization.zero_points.as_slice(),
    ) {
        (&[scale], &[zero_point]) => Ok(ValueKind::Quantized(Quantized {
            integer,
            scale,
            zero_point: small(&tensor.name, zero_point)?,
        })),
        (&[scale], []) => Ok(ValueKind::Quantized(Quantized {
            integer,
            scale,
            zero_point: 0,
        })),
        (scales, _) => {
            let problem = format!("an activation with {} scales", scales.len());
            Err(ReadError::tensor(&tensor.name, problem))
        }
    }
}

fn small(tensor: &str, zero_point: i64) -> Result<i32, ReadError> {
    i32::try_from(zero_point)
        .map_err(|_| ReadError::tensor(tensor, format!("a zero point of {zero_point}")))
}

impl<'a> Chain<'a> {
    /// A chain that begins with a tensor.
    pub(super) fn new(tensors: &'a [Described<'a>], first: usize) -> Self {
        Self {
            tensors,
            current: first,
            padding: None,
            layers: Vec::new(),
        }
    }

    /// Adds an operator.
    pub(super) fn add(
        &mut self,
        place: &str,
        operator: &Table<'_>,
        (code, custom): (i32, Option<String>),
        budget: &mut Budget,
    ) -> Result<(), ReadError> {
        let tensors = self.tensors;
        let index = |field: usize, at: usize| {
            let index = operator.elements(field, 4)?.i32(at)?;
            usize::try_from(index).ok().filter(|&i| i < tensors.len())
        };
        let wrong = |problem: String| malformed(place, problem);
        if matches!(
            code,
            builtin::SHAPE | builtin::STRIDED_SLICE | builtin::PACK
        ) {
            // They compute the batch's size, for a reshape.
            return Ok(());
        }
        let input = index(1, 0).ok_or_else(|| wrong("it has no input".to_string()))?;
        let output = index(2, 0).ok_or_else(|| wrong("it has no output".to_string()))?;
        if input != self.current || custom.is_some() {
            let problem = "it does not read the output of the operator before it";
            return Err(wrong(problem.to_string()));
        }
        let node = Node {
            place,
            options: operator.table(4),
            input: &tensors[input],
            weights: index(1, 1).map(|index| &tensors[index]),
            bias: index(1, 2).map(|index| &tensors[index]),
            output: &tensors[output],
        };
        self.current = output;
        if code == builtin::PAD {
            self.padding = Some(node.padding().map_err(wrong)?);
            return Ok(());
        }
        let padding = self.padding.take();
        let operation = node.operation(code, padding, budget)?;
        self.layers.push(IntegerLayer {
            name: tensors[output].name.clone(),
            operation,
            output: values_of(&tensors[output])?,
        });
        Ok(())
    }
}

/// An operator and its tensors.
struct Node<'a> {
    place: &'a str,
    options: Option<Table<'a>>,
    input: &'a Described<'a>,
    weights: Option<&'a Described<'a>>,
    bias: Option<&'a Described<'a>>,
    output: &'a Described<'a>,
}

impl Node<'_> {
    fn wrong(&self, problem: impl ToString) -> ReadError {
        malformed(&format!("{} (`{}`)", self.place, self.output.name), problem)
    }

    fn operation(
        &self,
        code: i32,
        padding: Option<[usize; 4]>,
        budget: &mut Budget,
    ) -> Result<IntegerOperation, ReadError> {
        if padding.is_some() && !matches!(code, builtin::CONV_2D | builtin::DEPTHWISE_CONV_2D) {
            return Err(self.wrong("padding before it is not supported"));
        }
        Ok(match code {
            builtin::CONV_2D => {
                let (window, activation) = (self.window([4, 5])?, self.activation(3)?);
                self.convolution(code, window, padding, activation, budget)?
            }
            builtin::DEPTHWISE_CONV_2D => {
                let (window, activation) = (self.window([5, 6])?, self.activation(4)?);
                self.convolution(code, window, padding, activation, budget)?
            }
            builtin::FULLY_CONNECTED => {
                let activation = self.activation(0)?;
                self.convolution(code, ConvGeometry::POINTWISE, None, activation, budget)?
            }
            builtin::AVERAGE_POOL_2D => {
                if self.activation(5)? != Activation::Identity {
                    return Err(self.wrong("a pool with an activation is not supported"));
                }
                IntegerOperation::AveragePool(ConvGeometry {
                    kernel: [self.size(4, 0)?, self.size(3, 0)?],
                    ..self.window([6, 7])?
                })
            }
            builtin::MEAN => match self.integers(self.weights).as_deref() {
                Some([1, 2] | [2, 1] | [-3, -2] | [-2, -3]) => IntegerOperation::Mean,
                axes => return Err(self.wrong(format!("a mean over the axes {axes:?}"))),
            },
            builtin::RESHAPE | builtin::SQUEEZE => {
                let shapes = [&self.input.shape, &self.output.shape];
                let each = shapes.map(|shape| shape.get(1..).unwrap_or_default());
                let values =
                    each.map(|shape| shape.iter().try_fold(1, |a: usize, &b| a.checked_mul(b)));
                let last = self.output.shape.last().copied();
                if values[0].is_none() || values[0] != values[1] || last != values[1] {
                    let problem = format!("a reshape from {:?} to {:?}", shapes[0], shapes[1]);
                    return Err(self.wrong(problem));
                }
                IntegerOperation::Flatten
            }
            builtin::SOFTMAX if !self.has_fixed_scale()? => {
                return Err(self.wrong("a softmax of integers has the scale 1/256"));
            }
            builtin::SOFTMAX => IntegerOperation::Softmax {
                beta: self
                    .options
                    .and_then(|options| options.f32(0))
                    .unwrap_or(0.0),
            },
            builtin::QUANTIZE => IntegerOperation::Quantize,
            builtin::DEQUANTIZE => IntegerOperation::Dequantize,
            other => return Err(self.wrong(format!("builtin operator {other} in integers"))),
        })
    }

    /// Whether the output is not integers, or has the scale that the format gives probabilities.
    fn has_fixed_scale(&self) -> Result<bool, ReadError> {
        Ok(match values_of(self.output)? {
            ValueKind::Quantized(quantized) => quantized.scale == 1.0 / 256.0,
            ValueKind::F32 => true,
        })
    }

    fn byte(&self, field: usize) -> u8 {
        let byte = self.options.and_then(|options| options.u8(field));
        byte.unwrap_or(0)
    }

    fn size(&self, field: usize, default: usize) -> Result<usize, ReadError> {
        let value = self.options.and_then(|options| options.i32(field));
        let size = value.map(|value| usize::try_from(value).ok());
        let size = size
            .unwrap_or(Some(default))
            .filter(|size| *size <= MOST_SIZE);
        size.ok_or_else(|| self.wrong(format!("a size of {value:?}")))
    }

    fn activation(&self, field: usize) -> Result<Activation, ReadError> {
        match self.byte(field) {
            0 => Ok(Activation::Identity),
            1 => Ok(Activation::Relu),
            3 => Ok(Activation::Relu6),
            other => Err(self.wrong(format!("fused activation {other} is not supported"))),
        }
    }

    /// A window of one pixel, with stride, padding and dilation of the options.
    fn window(&self, [wide, high]: [usize; 2]) -> Result<ConvGeometry, ReadError> {
        let equal = |horizontal: usize, vertical: usize, what: &str| {
            if horizontal == vertical {
                return Ok(vertical);
            }
            Err(self.wrong(format!("its {what} differs between rows and columns")))
        };
        Ok(ConvGeometry {
            kernel: [1, 1],
            stride: equal(self.size(1, 0)?, self.size(2, 0)?, "stride")?,
            // A pool's options have nothing at these numbers.
            dilation: equal(self.size(wide, 1)?, self.size(high, 1)?, "dilation")?,
            padding: match self.byte(0) {
                0 => Padding::Same,
                1 => Padding::VALID,
                other => return Err(self.wrong(format!("unknown padding {other}"))),
            },
        })
    }

    /// Rows above and below, columns left and right of a `PAD`.
    fn padding(&self) -> Result<[usize; 4], String> {
        match self.integers(self.weights).as_deref() {
            Some(&[0, 0, top, bottom, left, right, 0, 0]) => {
                let side = |n: i64| usize::try_from(n).ok().filter(|&n| n <= MOST_SIZE);
                let sides = [side(top), side(bottom), side(left), side(right)];
                match sides {
                    [Some(top), Some(bottom), Some(left), Some(right)] => {
                        Ok([top, bottom, left, right])
                    }
                    _ => Err(format!("a padding of {sides:?}")),
                }
            }
            other => Err(format!("padding {other:?} is not of rows and columns")),
        }
    }

    /// A constant of 32-bit integers, up to 16 of them.
    fn integers(&self, tensor: Option<&Described<'_>>) -> Option<Vec<i64>> {
        let tensor = tensor?;
        small_integers(tensor, tensor.data?)
    }

    fn convolution(
        &self,
        code: i32,
        window: ConvGeometry,
        padding: Option<[usize; 4]>,
        activation: Activation,
        budget: &mut Budget,
    ) -> Result<IntegerOperation, ReadError> {
        let weights = self
            .weights
            .ok_or_else(|| self.wrong("it has no weights"))?;
        let depthwise = code == builtin::DEPTHWISE_CONV_2D;
        let (axis, out_channels, kernel) = match (code, weights.shape.as_slice()) {
            (builtin::CONV_2D, &[out, rows, columns, _]) => (0, out, [rows, columns]),
            (builtin::DEPTHWISE_CONV_2D, &[1, rows, columns, out]) => (3, out, [rows, columns]),
            (builtin::FULLY_CONNECTED, &[out, _]) => (0, out, [1, 1]),
            (_, shape) => return Err(self.wrong(format!("weights of shape {shape:?}"))),
        };
        if depthwise {
            let channels = self.input.shape.last().copied().unwrap_or_default();
            let multiplier = self.size(3, 0)?;
            if channels.checked_mul(multiplier) != Some(out_channels) {
                let problem =
                    format!("{out_channels} output channels are not {multiplier} times {channels}");
                return Err(self.wrong(problem));
            }
        }
        let geometry = ConvGeometry {
            kernel,
            padding: match (padding, window.padding) {
                (None, padding) => padding,
                (Some([top, bottom, left, right]), Padding::Explicit { .. }) => Padding::Explicit {
                    top,
                    bottom,
                    left,
                    right,
                },
                (Some(_), Padding::Same) => return Err(self.wrong("it is padded twice")),
            },
            ..window
        };
        let weights = self.weights_of(weights, axis, budget)?;
        Ok(IntegerOperation::Convolution(QuantizedConvolution {
            kind: match depthwise {
                true => ConvKind::Depthwise,
                false => ConvKind::Conv,
            },
            geometry,
            out_channels,
            bias: self.bias_of(&weights, out_channels, budget)?,
            weights,
            activation,
            fully_connected: code == builtin::FULLY_CONNECTED,
        }))
    }

    fn weights_of(
        &self,
        tensor: &Described<'_>,
        axis: usize,
        budget: &mut Budget,
    ) -> Result<QuantizedWeights, ReadError> {
        let wrong = |problem: &str| ReadError::tensor(&tensor.name, problem);
        let quantization =
            quantization(tensor)?.ok_or_else(|| wrong("the weights have no scale"))?;
        if quantization.axis != axis && (quantization.scales.len() > 1 || quantization.axis != 0) {
            let problem = format!("scales along axis {}, not {axis}", quantization.axis);
            return Err(wrong(&problem));
        }
        let data = tensor
            .data
            .ok_or_else(|| wrong("the weights are no constant"))?;
        if data.len() != volume(&tensor.name, &tensor.shape)? {
            let (shape, found) = (&tensor.shape, data.len());
            return Err(wrong(&format!(
                "shape {shape:?} does not fit its {found} bytes"
            )));
        }
        budget.take(&tensor.name, data.len() as u64)?;
        let count = quantization.scales.len();
        let mut zero_points = Vec::with_capacity(count);
        for index in 0..count {
            let zero_point = quantization.zero_points.get(index).copied();
            zero_points.push(small(&tensor.name, zero_point.unwrap_or(0))?);
        }
        let values = match tensor.kind {
            kind::UINT8 if count > 1 => {
                return Err(wrong("unsigned weights must have one scale"));
            }
            kind::UINT8 => Integers::U8(data.to_vec()),
            kind::INT8 if zero_points.iter().any(|&zero_point| zero_point != 0) => {
                return Err(wrong("signed weights must have the zero point 0"));
            }
            kind::INT8 => Integers::I8(data.iter().map(|&byte| byte as i8).collect()),
            other => return Err(wrong(&format!("weights of TFLite type {other}"))),
        };
        Ok(QuantizedWeights {
            values,
            scales: quantization.scales,
            zero_points,
        })
    }

    /// Biases, whose scale must be the input's times the weights': otherwise they would mean other
    /// numbers than the sums to which they are added.
    fn bias_of(
        &self,
        weights: &QuantizedWeights,
        out_channels: usize,
        budget: &mut Budget,
    ) -> Result<Vec<i32>, ReadError> {
        budget.take("TFLite biases", 4 * out_channels as u64)?;
        let Some(tensor) = self.bias else {
            return Ok(vec![0; out_channels]);
        };
        let wrong = |problem: String| ReadError::tensor(&tensor.name, problem);
        let Some(data) = tensor.data.filter(|_| tensor.kind == kind::INT32) else {
            let kind = tensor.kind;
            return Err(wrong(format!(
                "biases of TFLite type {kind} are no constant in 32 bits"
            )));
        };
        let (values, rest) = data.as_chunks::<4>();
        if values.len() != out_channels || !rest.is_empty() {
            let problem = format!("{} bytes of {out_channels} biases", data.len());
            return Err(wrong(problem));
        }
        let ValueKind::Quantized(input) = values_of(self.input)? else {
            return Err(self.wrong("its input must be integers"));
        };
        let scales = quantization(tensor)?.map_or(Vec::new(), |quantization| quantization.scales);
        check_bias_scales(&tensor.name, &scales, input.scale, &weights.scales)?;
        Ok(values.iter().map(|&b| i32::from_le_bytes(b)).collect())
    }
}

/// No window, stride or padding is larger.
const MOST_SIZE: usize = 1 << 16;
