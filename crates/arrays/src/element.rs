//! Types of values that arrays are permuted of. What touches every value is compiled here, for speed;
//! a generic function would be compiled with whoever calls it, and readers are compiled for size.

use half::{bf16, f16};

/// A value of an array whose axes can be permuted.
pub trait Element: Copy {
    /// The values at all combinations of indices, the last index varying fastest. An index counts
    /// up to its size, and each of its steps skips as many values as its stride says.
    fn gather(from: &[Self], sizes: &[usize], strides: &[usize]) -> Vec<Self>;
}

macro_rules! element {
    ($($type:ty)*) => {$(
        impl Element for $type {
            fn gather(from: &[Self], sizes: &[usize], strides: &[usize]) -> Vec<Self> {
                let mut values = Vec::with_capacity(from.len());
                append(from, sizes, strides, 0, &mut values);
                values
            }
        }
    )*};
}
element!(f16 bf16 f32 f64 u8 i8 i16 i32 i64 usize);

fn append<T: Copy>(from: &[T], sizes: &[usize], strides: &[usize], offset: usize, to: &mut Vec<T>) {
    match (sizes, strides) {
        (&[size], &[1]) => to.extend_from_slice(&from[offset..offset + size]),
        (&[size], &[stride]) => to.extend((0..size).map(|i| from[offset + i * stride])),
        (&[size, ref sizes @ ..], &[stride, ref strides @ ..]) => {
            for i in 0..size {
                append(from, sizes, strides, offset + i * stride, to);
            }
        }
        _ => to.extend(from.get(offset)),
    }
}
