//! Slices of partitioned variables: their ranges, their keys in V2, and their assembly to a tensor.

use std::fmt;

use prost::Message;

use crate::array::Dtype;
use crate::checkpoint::readers::{Budget, RawTensor, ReadError, from_le_bytes, volume};

#[derive(Clone, PartialEq, Message)]
pub(super) struct Extent {
    #[prost(int64, tag = "1")]
    start: i64,
    #[prost(int64, optional, tag = "2")]
    length: Option<i64>,
}

/// `TensorSliceProto`: one extent per dimension. Without a length, it is the whole dimension.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorSlice {
    #[prost(message, repeated, tag = "1")]
    extent: Vec<Extent>,
}

impl fmt::Display for TensorSlice {
    /// TensorFlow's notation: `start,length` of each dimension, `-` for all of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, extent) in self.extent.iter().enumerate() {
            let separator = if index == 0 { "" } else { ":" };
            match extent.length {
                Some(length) => write!(f, "{separator}{},{length}", extent.start)?,
                None => write!(f, "{separator}-")?,
            }
        }
        Ok(())
    }
}

impl TensorSlice {
    /// TensorFlow's key of a slice: the name and the extents, encoded so that keys sort in order.
    pub(super) fn key(&self, name: &str) -> Vec<u8> {
        let mut key = vec![0];
        for byte in name.bytes() {
            match byte {
                0 => key.extend([0, 0xff]),
                0xff => key.extend([0xff, 0]),
                _ => key.push(byte),
            }
        }
        key.extend([0, 1]);
        push_unsigned(self.extent.len() as u64, &mut key);
        for extent in &self.extent {
            push_signed(extent.start, &mut key);
            push_signed(extent.length.unwrap_or(-1), &mut key);
        }
        key
    }

    /// Start and length in each dimension of a tensor.
    fn ranges(&self, name: &str, shape: &[usize]) -> Result<Vec<(usize, usize)>, ReadError> {
        let range = |extent: &Extent, size: usize| {
            let start = usize::try_from(extent.start).ok()?;
            let length = match extent.length {
                Some(length) => usize::try_from(length).ok()?,
                None => size.checked_sub(start)?,
            };
            (start.checked_add(length)? <= size).then_some((start, length))
        };
        // Without extents, the slice is the whole tensor.
        if self.extent.is_empty() {
            return Ok(shape.iter().map(|&size| (0, size)).collect());
        }
        let ranges: Option<Vec<_>> = self
            .extent
            .iter()
            .zip(shape)
            .map(|(extent, &size)| range(extent, size))
            .collect();
        ranges
            .filter(|_| self.extent.len() == shape.len())
            .ok_or_else(|| {
                let problem = format!("a slice does not lie in its shape {shape:?}");
                ReadError::tensor(name, problem)
            })
    }
}

fn push_unsigned(number: u64, key: &mut Vec<u8>) {
    let bytes = number.to_be_bytes();
    let zeros = number.leading_zeros() as usize / 8;
    key.push((bytes.len() - zeros) as u8);
    key.extend(&bytes[zeros..]);
}

/// Encodes a number as its two's complement, preceded by as many one bits as it has bytes. If the
/// number is negative, these bits are inverted: zeros.
fn push_signed(number: i64, key: &mut Vec<u8>) {
    let magnitude = if number < 0 { !number } else { number } as u64;
    let length = (64 - magnitude.leading_zeros() as usize) / 7 + 1;
    let mut bytes = i128::from(number).to_be_bytes();
    let header = (0xffffu32 << (16 - length)) as u16;
    let start = bytes.len() - length;
    bytes[start] ^= (header >> 8) as u8;
    if length > 1 {
        bytes[start + 1] ^= header as u8;
    }
    key.extend(&bytes[start..]);
}

/// A tensor that is filled slice by slice.
pub(super) struct Assembly {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
    filled: usize,
}

impl Assembly {
    pub(super) fn new(
        name: &str,
        dtype: Dtype,
        shape: Vec<usize>,
        budget: &mut Budget,
    ) -> Result<Self, ReadError> {
        let size = volume(name, &shape)?.saturating_mul(dtype.bytes());
        budget.take(name, size as u64)?;
        Ok(Self {
            dtype,
            bytes: vec![0; size],
            shape,
            filled: 0,
        })
    }

    pub(super) fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Shape of a slice.
    pub(super) fn piece_shape(
        &self,
        name: &str,
        slice: &TensorSlice,
    ) -> Result<Vec<usize>, ReadError> {
        let ranges = slice.ranges(name, &self.shape)?;
        Ok(ranges.into_iter().map(|(_, length)| length).collect())
    }

    /// Copies the values of a slice, in row-major order, to their position.
    pub(super) fn fill(
        &mut self,
        name: &str,
        slice: &TensorSlice,
        piece: &[u8],
    ) -> Result<(), ReadError> {
        let width = self.dtype.bytes();
        let ranges = slice.ranges(name, &self.shape)?;
        // Along the last dimension, values are contiguous in both the slice and the tensor.
        let (&(start, run), outer) = ranges.split_last().unwrap_or((&(0, 1), &[]));
        let rows: usize = outer.iter().map(|&(_, length)| length).product();
        let expected = rows.saturating_mul(run).saturating_mul(width);
        if expected != piece.len() {
            let found = piece.len();
            let problem = format!("a slice of {expected} bytes has {found}");
            return Err(ReadError::tensor(name, problem));
        }
        if piece.is_empty() {
            return Ok(());
        }
        let mut index = vec![0; outer.len()];
        for source in piece.chunks_exact(run * width) {
            let row = outer
                .iter()
                .zip(&self.shape)
                .zip(&index)
                .fold(0, |row, ((&(start, _), &size), &i)| row * size + start + i);
            let last = self.shape.last().copied().unwrap_or(1);
            let target = (row * last + start) * width;
            self.bytes[target..target + source.len()].copy_from_slice(source);
            for (i, &(_, length)) in index.iter_mut().zip(outer).rev() {
                *i += 1;
                if *i < length {
                    break;
                }
                *i = 0;
            }
        }
        self.filled += piece.len();
        Ok(())
    }

    /// The tensor. Values that no slice has filled are an error.
    pub(super) fn finish(self, name: &str, budget: &mut Budget) -> Result<RawTensor, ReadError> {
        if self.filled != self.bytes.len() {
            let (filled, expected) = (self.filled, self.bytes.len());
            let problem = format!("its slices have {filled} bytes of {expected}");
            return Err(ReadError::tensor(name, problem));
        }
        let values = from_le_bytes(name, &self.bytes, self.dtype, &self.shape, budget)?;
        let dtype = format!("{:?}", self.dtype);
        Ok(RawTensor::new(dtype, self.shape, Some(values)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::readers::ReadLimits;

    fn slice(extents: &[(i64, Option<i64>)]) -> TensorSlice {
        let extent = extents
            .iter()
            .map(|&(start, length)| Extent { start, length })
            .collect();
        TensorSlice { extent }
    }

    /// The expected bytes are those of `OrderedCode::WriteSignedNumIncreasing`.
    #[test]
    fn signed_numbers_are_encoded_in_order() {
        let encoded = |number| {
            let mut key = Vec::new();
            push_signed(number, &mut key);
            key
        };
        assert_eq!(encoded(0), [0x80]);
        assert_eq!(encoded(-1), [0x7f]);
        assert_eq!(encoded(63), [0xbf]);
        assert_eq!(encoded(64), [0xc0, 0x40]);
        assert_eq!(encoded(-65), [0x3f, 0xbf]);
        assert_eq!(encoded(8192), [0xe0, 0x20, 0x00]);
        let numbers = [i64::MIN, -8193, -64, 0, 1, 127, 8191, 1 << 40, i64::MAX];
        assert!(numbers.map(encoded).is_sorted());
    }

    #[test]
    fn pieces_are_put_in_place() {
        let mut budget = Budget::new(ReadLimits::default());
        let values = |range: std::ops::Range<u8>| -> Vec<u8> {
            range.flat_map(|i| f32::from(i).to_le_bytes()).collect()
        };
        // First columns 1 and 2, then column 0, of a tensor of shape [2, 3, 2].
        let mut assembly = Assembly::new("t", Dtype::F32, vec![2, 3, 2], &mut budget).unwrap();
        let right = slice(&[(0, None), (1, Some(2)), (0, None)]);
        let left = slice(&[(0, None), (0, Some(1)), (0, Some(2))]);
        assembly.fill("t", &right, &values(0..8)).unwrap();
        assembly.fill("t", &left, &values(8..12)).unwrap();
        let tensor = assembly.finish("t", &mut budget).unwrap();
        let found = tensor.to_f32().unwrap();
        let expected = [8., 9., 0., 1., 2., 3., 10., 11., 4., 5., 6., 7.];
        assert_eq!(*found, expected);
    }

    #[test]
    fn pieces_that_do_not_fit_are_errors() {
        let mut budget = Budget::new(ReadLimits::default());
        let mut assembly = Assembly::new("t", Dtype::F32, vec![2, 3], &mut budget).unwrap();
        for wrong in [
            slice(&[(0, None)]),
            slice(&[(0, None), (2, Some(2))]),
            slice(&[(-1, None), (0, None)]),
            slice(&[(3, None), (0, None)]),
            slice(&[(0, None), (i64::MAX, Some(i64::MAX))]),
        ] {
            assert!(assembly.fill("t", &wrong, &[0; 24]).is_err(), "{wrong:?}");
        }
        assembly
            .fill("t", &slice(&[(0, Some(1)), (0, None)]), &[0; 12])
            .unwrap();
        let error = assembly.finish("t", &mut budget).unwrap_err().to_string();
        assert!(error.contains("12 bytes of 24"), "{error}");
    }
}
