//! A TFLite file whose layers are a chain with branches: the layers in integers or in numbers, and the
//! operators after them as the file has them.

use std::collections::{BTreeMap, HashMap, HashSet};

use mobilenet_kernels::integer::{IntegerLayer, Quantized, ValueKind};

use super::float_layer::{Constants, FloatLayer};
use super::integers::{Chain, values_of};
use super::labels::labels;
use super::operators::{builtin, builtin_code};
use super::tables::{RECORD, Tables, missing};
use super::tensors::{Described, constant, describe, kind, malformed};
use crate::checkpoint::readers::flatbuffer::Table;
use crate::checkpoint::readers::{Budget, RawTensor, ReadError, ReadLimits};

/// A file's layers, a chain with branches, and its tail.
#[derive(Debug, Clone)]
pub struct Branched<L> {
    /// Rows, columns and channels of an image.
    pub input_shape: [usize; 3],
    /// Its values.
    pub input: ValueKind,
    /// Layers one after another.
    pub layers: Vec<L>,
    /// Layers that read one of the chain's, and its index. Only the tail reads them.
    pub branches: Vec<(usize, L)>,
    /// The operators after the layers, in the file's order.
    pub tail: Vec<TailOperator>,
    /// Names of the classes, from the file's metadata.
    pub labels: Option<Vec<String>>,
}

/// An operator after the layers.
#[derive(Debug, Clone)]
pub struct TailOperator {
    /// What it does.
    pub kind: TailKind,
    /// What it reads, constants too.
    pub inputs: Vec<TailInput>,
    /// Its first output's tensor.
    pub output: usize,
    /// What its first output's integers mean, if it has integers.
    pub meaning: Option<Quantized>,
}

/// What an operator of the tail does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TailKind {
    /// The same values in another shape.
    Reshape,
    /// One after another.
    Concatenation,
    /// `1 / (1 + exp(-x))`.
    Logistic,
    /// Integers to numbers.
    Dequantize,
    /// An operator that is no part of TFLite's schema.
    Custom {
        /// Its name.
        name: String,
        /// Its options, in an encoding of its own.
        options: Vec<u8>,
    },
}

/// What an operator of the tail reads.
#[derive(Debug, Clone)]
pub enum TailInput {
    /// The output of the branch of this index.
    Branch(usize),
    /// The tensor of this index, which another operator of the tail writes.
    Tensor(usize),
    /// A constant.
    Constant(RawTensor),
}

/// Most bytes of a custom operator's options.
const MOST_OPTIONS: usize = 1 << 16;

/// Whether a file has an operator of this name.
///
/// # Errors
/// If the bytes break the format's rules.
pub fn has_custom_operator(bytes: &[u8], name: &str) -> Result<bool, ReadError> {
    let codes = Tables::of(bytes)?.codes;
    let mut codes = (0..codes.len).filter_map(|index| codes.table(index));
    Ok(codes.any(|code| code.text(1) == Some(name)))
}

/// Reads a quantised file as a chain of layers of integers with branches and a tail.
///
/// # Errors
/// If the bytes break the format's rules or exceed the limits, or a layer reads neither the layer
/// before it nor, as a branch, one further up.
pub fn read_branches(
    bytes: &[u8],
    limits: ReadLimits,
) -> Result<Branched<IntegerLayer>, ReadError> {
    branched(bytes, limits, |constants, operators, budget| {
        let Some(first) = operators.first().and_then(|one| one.inputs.first()) else {
            return Ok(None);
        };
        let mut chain = Chain::new(constants.tensors, *first);
        for Operator {
            place, table, code, ..
        } in operators
        {
            chain.add(place, table, code.clone(), budget)?;
        }
        Ok(chain.layers.pop())
    })
}

/// As [`read_branches`], for a file that computes with numbers. Weights may have 16 bits.
///
/// # Errors
/// As [`read_branches`].
pub fn read_float_branches(
    bytes: &[u8],
    limits: ReadLimits,
) -> Result<Branched<FloatLayer>, ReadError> {
    branched(bytes, limits, |constants, operators, budget| {
        let [
            Operator {
                place,
                table,
                code: (code, _),
                inputs,
                output,
            },
        ] = operators
        else {
            let place = operators.first().map_or("an operator", |one| &one.place);
            return Err(malformed(place, "padding before a layer is not supported"));
        };
        let layer = constants.layer(place, table, *code, inputs, *output, budget)?;
        Ok(Some(layer))
    })
}

/// `layer` makes a layer of a convolution, and of what pads or rounds its input before.
fn branched<L>(
    bytes: &[u8],
    limits: ReadLimits,
    layer: impl Fn(&Constants<'_>, &[Operator<'_>], &mut Budget) -> Result<Option<L>, ReadError>,
) -> Result<Branched<L>, ReadError> {
    let budget = &mut Budget::new(limits);
    budget.opened(bytes.len() as u64);
    let tables = Tables::of(bytes)?;
    let mut tensors = Vec::new();
    for index in 0..tables.tensors.len {
        budget.take("TFLite tensors", RECORD)?;
        tensors.push(describe(&tables.tensors, index, &tables.buffers, budget)?);
    }
    let input = tables.inputs.i32(0).and_then(|i| usize::try_from(i).ok());
    let input = input.filter(|&index| index < tensors.len());
    let input = input.ok_or_else(|| missing("input"))?;
    let &[_, rows, columns, channels] = tensors[input].shape.as_slice() else {
        let shape = &tensors[input].shape;
        let problem = format!("an input of shape {shape:?} is no batch of images");
        return Err(malformed("TFLite model", problem));
    };
    let mut constants = Constants::new(&tensors);
    let mut operators = Vec::new();
    for index in 0..tables.operators.len {
        let operator = Operator::read(index, &tables, &tensors, budget)?;
        match (&operator.code, operator.inputs.first()) {
            ((builtin::DEQUANTIZE, None), Some(&source)) if tensors[source].data.is_some() => {
                constants.sources.insert(operator.output, source);
            }
            _ => operators.push(operator),
        }
    }
    let layers = operators.iter().filter(|operator| operator.is_layer());
    // What another layer reads is in the chain.
    let read: HashSet<usize> = layers
        .filter_map(|one| one.inputs.first().copied())
        .collect();
    let mut parts = Parts {
        constants,
        current: input,
        layers: Vec::new(),
        outputs: HashMap::new(),
        branches: Vec::new(),
        branch_outputs: HashMap::new(),
        tail: Vec::new(),
    };
    let mut pending: Vec<Operator<'_>> = Vec::new();
    for operator in operators {
        if !operator.is_layer() {
            parts.add_to_tail(&operator, budget)?;
            continue;
        }
        let (place, output) = (operator.place.clone(), operator.output);
        let is_padding = operator.code == (builtin::PAD, None);
        pending.push(operator);
        if is_padding {
            continue;
        }
        let operators = std::mem::take(&mut pending);
        let joined = operators
            .windows(2)
            .all(|pair| pair[1].inputs.first() == Some(&pair[0].output));
        let input = operators[0].inputs.first().copied().filter(|_| joined);
        let found = layer(&parts.constants, &operators, budget)?;
        parts.add(&place, input, output, read.contains(&output), found)?;
    }
    Ok(Branched {
        input_shape: [rows, columns, channels],
        input: values_of(&tensors[input])?,
        layers: parts.layers,
        branches: parts.branches,
        tail: parts.tail,
        labels: labels(bytes, budget)?,
    })
}

/// An operator of the file.
struct Operator<'a> {
    place: String,
    table: Table<'a>,
    code: (i32, Option<String>),
    inputs: Vec<usize>,
    output: usize,
}

impl<'a> Operator<'a> {
    fn read(
        index: usize,
        tables: &Tables<'a>,
        tensors: &[Described<'_>],
        budget: &mut Budget,
    ) -> Result<Self, ReadError> {
        budget.take("TFLite operators", RECORD)?;
        let place = format!("TFLite operator {index}");
        let table = tables.operators.table(index);
        let table = table.ok_or_else(|| malformed(&place, "it is outside the file"))?;
        let code = builtin_code(&table, &tables.codes);
        let code = code.ok_or_else(|| malformed(&place, "its code is outside the list"))?;
        let mut inputs = Vec::new();
        if let Some(listed) = table.elements(1, 4) {
            budget.take("TFLite operators", 8 * listed.len as u64)?;
            for at in 0..listed.len {
                // -1 means that an optional tensor is absent.
                let index = listed.i32(at).and_then(|index| usize::try_from(index).ok());
                inputs.extend(index.filter(|&index| index < tensors.len()));
            }
        }
        let output = table.elements(2, 4).and_then(|outputs| outputs.i32(0));
        let output = output.and_then(|index| usize::try_from(index).ok());
        let output = output.filter(|&index| index < tensors.len());
        let output = output.ok_or_else(|| malformed(&place, "it has no output"))?;
        Ok(Self {
            place,
            table,
            code,
            inputs,
            output,
        })
    }

    /// Whether it is a layer of the network, or what converters put before one.
    fn is_layer(&self) -> bool {
        matches!(
            self.code,
            (
                builtin::CONV_2D | builtin::DEPTHWISE_CONV_2D | builtin::PAD | builtin::QUANTIZE,
                None
            )
        )
    }
}

/// What was found so far.
struct Parts<'a, L> {
    constants: Constants<'a>,
    /// The tensor that the chain's next layer reads.
    current: usize,
    layers: Vec<L>,
    /// The layer of the chain that writes a tensor.
    outputs: HashMap<usize, usize>,
    branches: Vec<(usize, L)>,
    /// The branch that writes a tensor.
    branch_outputs: HashMap<usize, usize>,
    tail: Vec<TailOperator>,
}

impl<L> Parts<'_, L> {
    /// Adds a layer to the chain, or as a branch.
    fn add(
        &mut self,
        place: &str,
        input: Option<usize>,
        output: usize,
        in_chain: bool,
        layer: Option<L>,
    ) -> Result<(), ReadError> {
        let (Some(input), Some(layer)) = (input, layer) else {
            return Err(malformed(place, "it is no layer"));
        };
        if in_chain && input == self.current {
            self.outputs.insert(output, self.layers.len());
            self.layers.push(layer);
            self.current = output;
            return Ok(());
        }
        match self.outputs.get(&input) {
            Some(&reads) if !in_chain => {
                self.branch_outputs.insert(output, self.branches.len());
                self.branches.push((reads, layer));
                Ok(())
            }
            _ => {
                let problem =
                    "it reads neither the layer before it nor, as a branch, one further up";
                Err(malformed(place, problem))
            }
        }
    }

    fn add_to_tail(
        &mut self,
        operator: &Operator<'_>,
        budget: &mut Budget,
    ) -> Result<(), ReadError> {
        let place = &operator.place;
        let kind = match &operator.code {
            (_, Some(name)) => {
                let options = operator.table.elements(5, 1).map(|options| options.all());
                let options = options.unwrap_or_default();
                if options.len() > MOST_OPTIONS {
                    return Err(malformed(place, "its options are too long"));
                }
                budget.take("TFLite operators", options.len() as u64)?;
                TailKind::Custom {
                    name: name.clone(),
                    options: options.to_vec(),
                }
            }
            (builtin::RESHAPE | builtin::SQUEEZE, None) => TailKind::Reshape,
            (builtin::CONCATENATION, None) => TailKind::Concatenation,
            (builtin::LOGISTIC, None) => TailKind::Logistic,
            (builtin::DEQUANTIZE, None) => TailKind::Dequantize,
            // They compute the batch's size, for a reshape.
            (builtin::SHAPE | builtin::STRIDED_SLICE | builtin::PACK, None) => return Ok(()),
            (other, None) => {
                let problem = format!("builtin operator {other} after the layers");
                return Err(malformed(place, problem));
            }
        };
        let mut inputs = Vec::new();
        for &index in &operator.inputs {
            let tensor = &self.constants.tensors[index];
            inputs.push(match (self.branch_outputs.get(&index), tensor.data) {
                (Some(&branch), _) => TailInput::Branch(branch),
                (None, Some(data)) => TailInput::Constant(constant(tensor, Some(data), budget)?),
                (None, None) => TailInput::Tensor(index),
            });
        }
        let output = &self.constants.tensors[operator.output];
        let meaning = match output.kind {
            kind::UINT8 | kind::INT8 => values_of(output)?,
            _ => ValueKind::F32,
        };
        self.tail.push(TailOperator {
            kind,
            inputs,
            output: operator.output,
            meaning: match meaning {
                ValueKind::Quantized(quantized) => Some(quantized),
                ValueKind::F32 => None,
            },
        });
        Ok(())
    }
}

impl<L> Branched<L> {
    /// The operators of the tail by the tensors that they write.
    pub fn writers(&self) -> BTreeMap<usize, &TailOperator> {
        let operators = self.tail.iter();
        operators
            .map(|operator| (operator.output, operator))
            .collect()
    }
}
