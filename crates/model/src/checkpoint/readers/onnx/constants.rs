//! Constants of an ONNX file: initialisers, and the values of `Constant` nodes.

use super::integers::Integers;
use super::quantized::{QuantizedConstants, integer_dtype};
use crate::array::Dtype;
use crate::checkpoint::readers::protobuf::{Field, next_field, push_integers, text};
use crate::checkpoint::readers::{Budget, NamedTensors, RawTensor, ReadError, from_le_bytes};

/// Most axes of a tensor.
const MOST_AXES: usize = 8;

/// Largest raw integer constant that is kept, in bytes.
const MOST_BYTES: usize = 256;

/// Tensors of the file, and the small integer constants that operations use.
pub(super) struct Constants<'a> {
    pub(super) named: &'a mut NamedTensors,
    pub(super) integers: Integers,
    pub(super) quantized: QuantizedConstants,
}

#[derive(Default)]
struct Fields<'a> {
    name: &'a str,
    dims: Vec<i64>,
    data_type: u64,
    raw: Option<&'a [u8]>,
    /// `float_data` or `double_data`, packed.
    packed: Option<&'a [u8]>,
    integers: Vec<i64>,
    external: bool,
}

impl Constants<'_> {
    /// Reads a `TensorProto` under its own name, or under the output of a `Constant` node.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        name: Option<&str>,
        budget: &mut Budget,
    ) -> Result<(), ReadError> {
        let mut fields = Fields::default();
        let mut rest = bytes;
        while let Some(field) = next_field(&mut rest, "tensor")? {
            match field {
                Field::Bytes(1, _) | Field::Varint(1, _) => {
                    push_integers(&field, &mut fields.dims, "dims")?;
                }
                Field::Varint(2, kind) => fields.data_type = kind,
                Field::Bytes(4 | 10, packed) => fields.packed = Some(packed),
                Field::Bytes(5 | 7, packed) => {
                    budget.take("tensor", 8 * packed.len() as u64)?;
                    push_integers(&field, &mut fields.integers, "integer data")?;
                }
                Field::Varint(5 | 7, _) => {
                    budget.take("tensor", 16)?;
                    push_integers(&field, &mut fields.integers, "integer data")?;
                }
                Field::Bytes(8, name) => fields.name = text(name, "tensor")?,
                Field::Bytes(9, raw) => fields.raw = Some(raw),
                Field::Varint(14, location) => fields.external = location == 1,
                _ => {}
            }
        }
        let name = name.unwrap_or(fields.name);
        if fields.dims.len() > MOST_AXES {
            return Err(ReadError::tensor(name, "too many dimensions"));
        }
        budget.take(name, (name.len() + std::mem::size_of::<RawTensor>()) as u64)?;
        let tensor = self.tensor(name, &fields, budget)?;
        self.named.insert(name.to_string(), tensor)
    }

    fn tensor(
        &mut self,
        name: &str,
        fields: &Fields<'_>,
        budget: &mut Budget,
    ) -> Result<RawTensor, ReadError> {
        if fields.external {
            let problem = "its values are in another file (external data), which is not \
                           supported: export the model as one file";
            return Err(ReadError::tensor(name, problem));
        }
        let shape = fields
            .dims
            .iter()
            .map(|&size| usize::try_from(size))
            .collect::<Result<Vec<usize>, _>>()
            .map_err(|_| ReadError::tensor(name, "a negative size"))?;
        let dtype = match fields.data_type {
            1 => Dtype::F32,
            10 => Dtype::F16,
            11 => Dtype::F64,
            16 => Dtype::BF16,
            other => {
                self.keep_integers(name, fields, &shape);
                if let Some(dtype) = integer_dtype(other) {
                    self.keep_quantized(name, fields, dtype, &shape, budget)?;
                }
                let dtype = format!("ONNX data type {other}");
                return Ok(RawTensor::new(dtype, shape, None));
            }
        };
        let bits: Vec<u8>;
        let bytes = match (fields.raw, fields.packed) {
            (Some(raw), _) => raw,
            (None, Some(packed)) => packed,
            // 16-bit floats are stored as bits in `int32_data`.
            (None, None) => {
                bits = fields
                    .integers
                    .iter()
                    .flat_map(|&bits| (bits as u16).to_le_bytes())
                    .collect();
                &bits
            }
        };
        let values = from_le_bytes(name, bytes, dtype, &shape, budget)?;
        Ok(RawTensor::new(format!("{dtype:?}"), shape, Some(values)))
    }

    /// Keeps integers that may be quantised numbers.
    fn keep_quantized(
        &mut self,
        name: &str,
        fields: &Fields<'_>,
        dtype: Dtype,
        shape: &[usize],
        budget: &mut Budget,
    ) -> Result<(), ReadError> {
        let bytes: Vec<u8>;
        let bytes = match fields.raw {
            Some(raw) => raw,
            None => {
                let width = dtype.bytes();
                let integers = fields.integers.iter();
                bytes = integers
                    .flat_map(|value| value.to_le_bytes().into_iter().take(width))
                    .collect();
                &bytes
            }
        };
        self.quantized.insert(name, dtype, bytes, shape, budget)
    }

    /// Keeps small integer constants: paddings, axes and shapes.
    fn keep_integers(&mut self, name: &str, fields: &Fields<'_>, shape: &[usize]) {
        let raw = fields.raw.filter(|raw| raw.len() <= MOST_BYTES);
        let integers: Vec<i64> = match (fields.data_type, raw) {
            (7, Some(raw)) => {
                let (chunks, _) = raw.as_chunks::<8>();
                chunks.iter().map(|b| i64::from_le_bytes(*b)).collect()
            }
            (6, Some(raw)) => {
                let (chunks, _) = raw.as_chunks::<4>();
                chunks
                    .iter()
                    .map(|b| i32::from_le_bytes(*b).into())
                    .collect()
            }
            (6 | 7, None) => fields.integers.clone(),
            _ => return,
        };
        self.integers.insert(name, integers, shape);
    }
}
