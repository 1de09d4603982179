//! A shape, and values in row-major order. Parameters are arrays, and checkpoints are read and
//! written as arrays.

use std::borrow::Cow;

use half::{bf16, f16};

use crate::buffer::Buffer;
use crate::element::Element;
use crate::little_endian;

/// A shape, and values in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Array<T = f32> {
    shape: Vec<usize>,
    values: Buffer<T>,
}

/// Values that do not fit a shape, or an invalid order of axes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// The number of values differs from that of the shape.
    #[error("{found} values do not fill the shape {shape:?}")]
    Length {
        /// The shape.
        shape: Vec<usize>,
        /// Number of values.
        found: usize,
    },
    /// The list of axes leaves one out or has one twice.
    #[error("axes {axes:?} are no order of those of {shape:?}")]
    Axes {
        /// The shape.
        shape: Vec<usize>,
        /// The axes given.
        axes: Vec<usize>,
    },
}

impl<T> Array<T> {
    /// An array of this shape.
    ///
    /// # Errors
    /// If the number of values differs from that of the shape.
    pub fn new(shape: impl Into<Vec<usize>>, values: Vec<T>) -> Result<Self, ShapeError> {
        Self::of_buffer(shape, values.into())
    }

    /// As [`Self::new`], of values that may be shared.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_buffer(shape: impl Into<Vec<usize>>, values: Buffer<T>) -> Result<Self, ShapeError> {
        let shape = shape.into();
        let count = shape
            .iter()
            .try_fold(1usize, |count, &size| count.checked_mul(size));
        if count == Some(values.len()) {
            Ok(Self { shape, values })
        } else {
            let found = values.len();
            Err(ShapeError::Length { shape, found })
        }
    }

    /// The shape, outermost axis first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Values in row-major order.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The values without the shape.
    pub fn into_buffer(self) -> Buffer<T> {
        self.values
    }

    /// The same values with another shape.
    ///
    /// # Errors
    /// If the shape has another number of values.
    pub fn reshape(self, shape: impl Into<Vec<usize>>) -> Result<Self, ShapeError> {
        Self::of_buffer(shape, self.values)
    }
}

impl<T: Copy> Array<T> {
    /// The values, mutable, in row-major order.
    pub fn values_mut(&mut self) -> &mut [T] {
        self.values.to_mut()
    }

    /// The values without the shape.
    pub fn into_values(self) -> Vec<T> {
        self.values.into_vec()
    }
}

impl Array {
    /// Whether no value is infinite or NaN.
    pub fn is_finite(&self) -> bool {
        // Without branches, so that several values are checked at once.
        self.values
            .iter()
            .fold(true, |finite, value| finite & value.is_finite())
    }
}

impl<T: Element> Array<T> {
    /// Permutes the axes: axis `i` of the result is axis `axes[i]` of this array.
    ///
    /// # Errors
    /// If `axes` does not list every axis once.
    pub fn permute(&self, axes: &[usize]) -> Result<Self, ShapeError> {
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..self.shape.len()) {
            return Err(ShapeError::Axes {
                shape: self.shape.clone(),
                axes: axes.to_vec(),
            });
        }
        let mut strides = vec![1; self.shape.len()];
        for axis in (1..self.shape.len()).rev() {
            strides[axis - 1] = strides[axis] * self.shape[axis];
        }
        let sizes: Vec<usize> = axes.iter().map(|&axis| self.shape[axis]).collect();
        let strides: Vec<usize> = axes.iter().map(|&axis| strides[axis]).collect();
        let values = T::gather(&self.values, &sizes, &strides);
        Self::new(sizes, values)
    }
}

/// Type of a value in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE half precision.
    F16,
    /// bfloat16: the upper half of an f32.
    BF16,
    /// 32-bit floating point.
    F32,
    /// 64-bit floating point.
    F64,
    /// Unsigned bytes, in quantised tensors.
    U8,
    /// Signed bytes, in quantised tensors.
    I8,
    /// 32-bit integers, for the biases of quantised layers.
    I32,
}

impl Dtype {
    /// Bytes per value.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::F16 | Self::BF16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 => 8,
        }
    }
}

/// Values whose type is known only at run time.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// IEEE half precision.
    F16(Vec<f16>),
    /// bfloat16: the upper half of an f32.
    BF16(Vec<bf16>),
    /// 32-bit floating point. Shared, if a file holds them as they are.
    F32(Buffer<f32>),
    /// 64-bit floating point.
    F64(Vec<f64>),
    /// Unsigned bytes.
    U8(Vec<u8>),
    /// Signed bytes.
    I8(Vec<i8>),
    /// 32-bit integers.
    I32(Vec<i32>),
}

/// Evaluates an expression on the vector, whatever its type.
macro_rules! each {
    ($values:expr, $vector:ident => $result:expr) => {
        match $values {
            Values::F16($vector) => $result,
            Values::BF16($vector) => $result,
            Values::F32($vector) => $result,
            Values::F64($vector) => $result,
            Values::U8($vector) => $result,
            Values::I8($vector) => $result,
            Values::I32($vector) => $result,
        }
    };
}

impl Values {
    /// Values from little-endian bytes. An incomplete value at the end is ignored.
    pub fn from_le_bytes(dtype: Dtype, bytes: &[u8]) -> Self {
        match dtype {
            Dtype::F16 => Self::F16(little_endian::values_of(bytes)),
            Dtype::BF16 => Self::BF16(little_endian::values_of(bytes)),
            Dtype::F32 => Self::F32(little_endian::values_of(bytes).into()),
            Dtype::F64 => Self::F64(little_endian::values_of(bytes)),
            Dtype::U8 => Self::U8(bytes.to_vec()),
            Dtype::I8 => Self::I8(little_endian::values_of(bytes)),
            Dtype::I32 => Self::I32(little_endian::values_of(bytes)),
        }
    }

    /// The values as little-endian bytes.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        each!(self, values => little_endian::bytes_of(values))
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        each!(self, values => values.len())
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as f32. Values that are f32 already are not copied.
    pub fn to_f32(&self) -> Cow<'_, [f32]> {
        match self {
            Self::F16(values) => values.iter().map(|v| v.to_f32()).collect(),
            Self::BF16(values) => values.iter().map(|v| v.to_f32()).collect(),
            Self::F32(values) => Cow::Borrowed(values),
            Self::F64(values) => values.iter().map(|&v| v as f32).collect(),
            Self::U8(values) => values.iter().map(|&v| v.into()).collect(),
            Self::I8(values) => values.iter().map(|&v| v.into()).collect(),
            Self::I32(values) => values.iter().map(|&v| v as f32).collect(),
        }
    }

    /// The values as f64.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Self::F16(values) => values.iter().map(|v| v.to_f64()).collect(),
            Self::BF16(values) => values.iter().map(|v| v.to_f64()).collect(),
            Self::F32(values) => values.iter().map(|&v| v.into()).collect(),
            Self::F64(values) => values.clone(),
            Self::U8(values) => values.iter().map(|&v| v.into()).collect(),
            Self::I8(values) => values.iter().map(|&v| v.into()).collect(),
            Self::I32(values) => values.iter().map(|&v| v.into()).collect(),
        }
    }

    /// The values with permuted axes, as [`Array::permute`].
    ///
    /// # Errors
    /// If the values do not fill the shape, or `axes` does not list every axis once.
    pub fn permute(self, shape: &[usize], axes: &[usize]) -> Result<Self, ShapeError> {
        macro_rules! permuted {
            ($($kind:ident)*) => {
                match self {
                    $(Self::$kind(values) => {
                        let array = Array::of_buffer(shape, values.into())?;
                        Self::$kind(array.permute(axes)?.into_values().into())
                    })*
                }
            };
        }
        Ok(permuted!(F16 BF16 F32 F64 U8 I8 I32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_puts_every_value_in_its_place() {
        let array = Array::new([2, 3, 4], (0..24).collect::<Vec<i32>>()).unwrap();
        let turned = array.permute(&[2, 0, 1]).unwrap();
        assert_eq!(turned.shape(), [4, 2, 3]);
        for (a, b, c) in
            (0..2).flat_map(|a| (0..3).flat_map(move |b| (0..4).map(move |c| (a, b, c))))
        {
            let found = turned.values()[(c * 2 + a) * 3 + b];
            assert_eq!(found, array.values()[(a * 3 + b) * 4 + c]);
        }
        assert_eq!(turned.permute(&[1, 2, 0]).unwrap(), array);
        let scalar = Array::new([], vec![7]).unwrap();
        assert_eq!(scalar.permute(&[]).unwrap(), scalar);
        let empty = Array::<i32>::new([3, 0], vec![]).unwrap();
        assert_eq!(empty.permute(&[1, 0]).unwrap().shape(), [0, 3]);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert!(Array::new([2, 3], vec![0; 5]).is_err());
        assert!(Array::new([usize::MAX, 2], vec![0; 5]).is_err());
        let array = Array::new([2, 3], vec![0; 6]).unwrap();
        for axes in [&[0][..], &[0, 0], &[0, 2], &[0, 1, 2]] {
            assert!(array.permute(axes).is_err(), "{axes:?}");
        }
        assert!(array.reshape([7]).is_err());
    }

    #[test]
    fn bytes_of_every_type_come_back() {
        let bytes: Vec<u8> = (0..16).collect();
        for dtype in [
            Dtype::F16,
            Dtype::BF16,
            Dtype::F32,
            Dtype::F64,
            Dtype::U8,
            Dtype::I8,
            Dtype::I32,
        ] {
            let values = Values::from_le_bytes(dtype, &bytes);
            assert_eq!(values.len(), 16 / dtype.bytes());
            assert_eq!(values.to_le_bytes(), bytes);
            assert_eq!(values.to_f64().len(), values.to_f32().len());
        }
        assert_eq!(Values::I8(vec![-3]).to_f64(), [-3.0]);
        assert_eq!(Values::F16(vec![f16::ONE]).to_f32(), [1.0f32].as_slice());
    }
}
