//! The tables of a TFLite file, and their encoding. Field numbers are those of the schema.

use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, TableFinishedWIPOffset, Vector, WIPOffset};

use crate::checkpoint::readers::Quantization;

/// Version of the schema.
const VERSION: u32 = 3;
/// The file's identifier, which follows the offset of the root.
const IDENTIFIER: &str = "TFL3";
/// Alignment of constants, which interpreters use where they lie in the file.
const ALIGNMENT: usize = 16;
/// Bytes of the root's offset and of the identifier.
const START: usize = 8;
/// Offsets have 31 bits. What is left beside the constants is far more than graphs take.
const MOST_BYTES: usize = (1 << 31) - (1 << 24);

type Builder = FlatBufferBuilder<'static>;
type TableOffset = WIPOffset<TableFinishedWIPOffset>;
type Tables = WIPOffset<Vector<'static, ForwardsUOffset<TableFinishedWIPOffset>>>;

/// Number type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(super) enum TensorType {
    Float32 = 0,
    Int32 = 2,
    Uint8 = 3,
    Int8 = 9,
}

/// A tensor of the graph. Without data, it is computed or an input.
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) kind: TensorType,
    pub(super) quantization: Option<Quantization>,
    pub(super) data: Vec<u8>,
}

/// Padding of a convolution or a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(super) enum WindowPadding {
    Same = 0,
    Valid = 1,
}

/// Activation that a convolution applies to its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(super) enum FusedActivation {
    None = 0,
    Relu = 1,
    Relu6 = 3,
}

/// What a convolution is for TFLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Full,
    /// With this many filters per input channel.
    Depthwise {
        multiplier: usize,
    },
    /// On a single pixel.
    FullyConnected,
}

/// An operator with its options.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Conv {
        form: Form,
        padding: WindowPadding,
        stride: usize,
        dilation: usize,
        activation: FusedActivation,
    },
    AveragePool {
        padding: WindowPadding,
        filter: [usize; 2],
        stride: usize,
    },
    /// Over the axes of its second input, which stay with size 1.
    Mean,
    Pad,
    Reshape,
    /// Of the input times a factor.
    Softmax {
        beta: f32,
    },
    Quantize,
    Dequantize,
}

/// An operator between tensors, which are given by their indices.
pub(super) struct Operator {
    pub(super) kind: Kind,
    pub(super) inputs: Vec<usize>,
    pub(super) output: usize,
}

/// A graph with one input and one output.
pub(super) struct Model {
    pub(super) tensors: Vec<Tensor>,
    pub(super) operators: Vec<Operator>,
    pub(super) input: usize,
    pub(super) output: usize,
    /// Named text.
    pub(super) metadata: Vec<(String, String)>,
}

impl Kind {
    /// Its number in the schema's `BuiltinOperator`.
    fn code(&self) -> i8 {
        match self {
            Self::AveragePool { .. } => 1,
            Self::Conv { form, .. } => match form {
                Form::Full => 3,
                Form::Depthwise { .. } => 4,
                Form::FullyConnected => 9,
            },
            Self::Dequantize => 6,
            Self::Reshape => 22,
            Self::Softmax { .. } => 25,
            Self::Pad => 34,
            Self::Mean => 40,
            Self::Quantize => 114,
        }
    }

    /// The operator's version that first took signed integers, or the first of all.
    fn version(&self, signed: bool) -> i32 {
        match self {
            _ if !signed => 1,
            Self::Conv { form, .. } => match form {
                Form::Full | Form::Depthwise { .. } => 3,
                Form::FullyConnected => 4,
            },
            Self::AveragePool { .. }
            | Self::Softmax { .. }
            | Self::Mean
            | Self::Pad
            | Self::Dequantize => 2,
            Self::Reshape | Self::Quantize => 1,
        }
    }

    /// The table of its options and the table's number in the union `BuiltinOptions`.
    fn options(&self, builder: &mut Builder) -> Result<(u8, TableOffset), String> {
        let table = builder.start_table();
        let tag = match *self {
            Self::Conv {
                form: Form::FullyConnected,
                activation,
                ..
            } => {
                builder.push_slot_always(field(0), activation as i8);
                8
            }
            Self::Conv {
                form,
                padding,
                stride,
                dilation,
                activation,
            } => {
                let [stride, dilation] = [int(stride)?, int(dilation)?];
                builder.push_slot_always(field(0), padding as i8);
                builder.push_slot_always(field(1), stride);
                builder.push_slot_always(field(2), stride);
                // A depthwise convolution has one more field, in the middle.
                let (tag, next) = match form {
                    Form::Depthwise { multiplier } => {
                        builder.push_slot_always(field(3), int(multiplier)?);
                        (2, 4)
                    }
                    _ => (1, 3),
                };
                builder.push_slot_always(field(next), activation as i8);
                builder.push_slot_always(field(next + 1), dilation);
                builder.push_slot_always(field(next + 2), dilation);
                tag
            }
            Self::AveragePool {
                padding,
                filter: [rows, columns],
                stride,
            } => {
                builder.push_slot_always(field(0), padding as i8);
                builder.push_slot_always(field(1), int(stride)?);
                builder.push_slot_always(field(2), int(stride)?);
                builder.push_slot_always(field(3), int(columns)?);
                builder.push_slot_always(field(4), int(rows)?);
                5
            }
            Self::Softmax { beta } => {
                builder.push_slot_always(field(0), beta);
                9
            }
            Self::Pad => 22,
            Self::Mean => {
                let keep_axes = true;
                builder.push_slot_always(field(0), keep_axes);
                27
            }
            // The shape is an input.
            Self::Reshape => 17,
            Self::Dequantize => 38,
            Self::Quantize => 89,
        };
        Ok((tag, builder.end_table(table)))
    }
}

impl Model {
    /// The file.
    ///
    /// # Errors
    /// If a number or the file is too large for the format.
    pub(super) fn encode(&self) -> Result<Vec<u8>, String> {
        let data = self.tensors.iter().map(|tensor| tensor.data.len());
        let text = self.metadata.iter().map(|(_, text)| text.len());
        let bytes = data.chain(text).fold(0usize, usize::saturating_add);
        if bytes > MOST_BYTES {
            return Err(format!(
                "{bytes} bytes of constants, more than TFLite allows"
            ));
        }
        let mut builder = Builder::with_capacity(bytes + (1 << 16));
        // Buffer 0 is empty. All tensors without data share it.
        let mut buffers = vec![buffer(&mut builder, &[])];
        let mut add_buffer = |builder: &mut Builder, bytes: &[u8]| {
            if bytes.is_empty() {
                return 0u32;
            }
            buffers.push(buffer(builder, bytes));
            (buffers.len() - 1) as u32
        };
        let mut tensors = Vec::new();
        for tensor in &self.tensors {
            let buffer = add_buffer(&mut builder, &tensor.data);
            tensors.push(tensor.encode(buffer, &mut builder)?);
        }
        let mut metadata = Vec::new();
        for (name, text) in &self.metadata {
            let buffer = add_buffer(&mut builder, text.as_bytes());
            let name = builder.create_string(name);
            let table = builder.start_table();
            builder.push_slot_always(field(0), name);
            builder.push_slot_always(field(1), buffer);
            metadata.push(builder.end_table(table));
        }
        let mut codes: Vec<(i8, i32)> = Vec::new();
        let mut operators = Vec::new();
        for operator in &self.operators {
            let mut tensors = operator.inputs.iter().chain([&operator.output]);
            let signed = tensors.any(|&index| self.tensors[index].kind == TensorType::Int8);
            let code = (operator.kind.code(), operator.kind.version(signed));
            let known = codes.iter().position(|&other| other == code);
            let index = known.unwrap_or_else(|| {
                codes.push(code);
                codes.len() - 1
            });
            operators.push(operator.encode(index, &mut builder)?);
        }
        let codes: Vec<_> = codes
            .into_iter()
            .map(|code| operator_code(code, &mut builder))
            .collect();

        let subgraph = {
            let tensors = tables(&tensors, &mut builder);
            let operators = tables(&operators, &mut builder);
            let inputs = builder.create_vector(&[int(self.input)?]);
            let outputs = builder.create_vector(&[int(self.output)?]);
            let table = builder.start_table();
            builder.push_slot_always(field(0), tensors);
            builder.push_slot_always(field(1), inputs);
            builder.push_slot_always(field(2), outputs);
            builder.push_slot_always(field(3), operators);
            builder.end_table(table)
        };
        let codes = tables(&codes, &mut builder);
        let subgraphs = tables(&[subgraph], &mut builder);
        let buffers = tables(&buffers, &mut builder);
        let metadata = tables(&metadata, &mut builder);
        let table = builder.start_table();
        builder.push_slot_always(field(0), VERSION);
        builder.push_slot_always(field(1), codes);
        builder.push_slot_always(field(2), subgraphs);
        builder.push_slot_always(field(4), buffers);
        builder.push_slot_always(field(6), metadata);
        let root = builder.end_table(table);
        // The buffer grows from its end, so data is aligned from there. It is also aligned from the
        // start if the whole is a multiple of the alignment.
        align(&mut builder, START);
        builder.finish(root, Some(IDENTIFIER));
        Ok(builder.finished_data().to_vec())
    }
}

impl Tensor {
    fn encode(&self, buffer: u32, builder: &mut Builder) -> Result<TableOffset, String> {
        let shape = self.shape.iter().map(|&size| int(size));
        let shape = shape.collect::<Result<Vec<i32>, String>>()?;
        let shape = builder.create_vector(&shape);
        let name = builder.create_string(&self.name);
        let quantization = match &self.quantization {
            Some(quantization) => Some(quantized(quantization, builder)?),
            None => None,
        };
        let table = builder.start_table();
        builder.push_slot_always(field(0), shape);
        builder.push_slot_always(field(1), self.kind as i8);
        builder.push_slot_always(field(2), buffer);
        builder.push_slot_always(field(3), name);
        if let Some(quantization) = quantization {
            builder.push_slot_always(field(4), quantization);
        }
        Ok(builder.end_table(table))
    }
}

impl Operator {
    fn encode(&self, code: usize, builder: &mut Builder) -> Result<TableOffset, String> {
        let inputs = self.inputs.iter().map(|&index| int(index));
        let inputs = inputs.collect::<Result<Vec<i32>, String>>()?;
        let inputs = builder.create_vector(&inputs);
        let outputs = builder.create_vector(&[int(self.output)?]);
        let (tag, options) = self.kind.options(builder)?;
        let table = builder.start_table();
        builder.push_slot_always(field(0), code as u32);
        builder.push_slot_always(field(1), inputs);
        builder.push_slot_always(field(2), outputs);
        builder.push_slot_always(field(3), tag);
        builder.push_slot_always(field(4), options);
        Ok(builder.end_table(table))
    }
}

/// Position of a field in a table's list of fields.
fn field(index: u16) -> u16 {
    4 + 2 * index
}

fn int(value: usize) -> Result<i32, String> {
    i32::try_from(value).map_err(|_| format!("{value} is larger than TFLite allows"))
}

fn tables(tables: &[TableOffset], builder: &mut Builder) -> Tables {
    builder.create_vector(tables)
}

fn buffer(builder: &mut Builder, bytes: &[u8]) -> TableOffset {
    let data = (!bytes.is_empty()).then(|| {
        align(builder, bytes.len());
        builder.create_vector(bytes)
    });
    let table = builder.start_table();
    if let Some(data) = data {
        builder.push_slot_always(field(0), data);
    }
    builder.end_table(table)
}

/// Fills up so that what is written next, `bytes` long, begins at the alignment of constants.
fn align(builder: &mut Builder, bytes: usize) {
    while !(builder.unfinished_data().len() + bytes).is_multiple_of(ALIGNMENT) {
        builder.push(0u8);
    }
}

fn quantized(quantization: &Quantization, builder: &mut Builder) -> Result<TableOffset, String> {
    let scales = builder.create_vector(&quantization.scales);
    let zero_points = builder.create_vector(&quantization.zero_points);
    let axis = int(quantization.axis)?;
    let table = builder.start_table();
    builder.push_slot_always(field(2), scales);
    builder.push_slot_always(field(3), zero_points);
    builder.push_slot_always(field(6), axis);
    Ok(builder.end_table(table))
}

fn operator_code((code, version): (i8, i32), builder: &mut Builder) -> TableOffset {
    let table = builder.start_table();
    // Old readers know only the first field, new ones take the larger of the two.
    builder.push_slot_always(field(0), code);
    builder.push_slot_always(field(2), version);
    builder.push_slot_always(field(3), i32::from(code));
    builder.end_table(table)
}
