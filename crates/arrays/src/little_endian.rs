//! Values as the bytes of files and messages, in which the lowest byte of each comes first.

use bytemuck::{AnyBitPattern, NoUninit};

/// The bytes of values.
pub fn bytes_of<T: NoUninit>(values: &[T]) -> Vec<u8> {
    let mut bytes = bytemuck::cast_slice(values).to_vec();
    reverse_if_big_endian::<T>(&mut bytes);
    bytes
}

/// The values of bytes. An incomplete value at the end is ignored.
pub fn values_of<T: NoUninit + AnyBitPattern>(bytes: &[u8]) -> Vec<T> {
    let whole = &bytes[..bytes.len() - bytes.len() % size_of::<T>()];
    let mut values = bytemuck::pod_collect_to_vec(whole);
    reverse_if_big_endian::<T>(bytemuck::cast_slice_mut(&mut values));
    values
}

fn reverse_if_big_endian<T>(bytes: &mut [u8]) {
    if cfg!(target_endian = "big") {
        bytes
            .chunks_exact_mut(size_of::<T>())
            .for_each(<[u8]>::reverse);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_byte_comes_first_and_a_rest_is_ignored() {
        let bytes = bytes_of(&[0x0403_0201, -1]);
        assert_eq!(bytes, [1, 2, 3, 4, 255, 255, 255, 255]);
        assert_eq!(values_of::<i32>(&bytes), [0x0403_0201, -1]);
        assert_eq!(values_of::<i32>(&bytes[..7]), [0x0403_0201]);
        assert_eq!(values_of::<u16>(&bytes[1..6]), [0x0302, 0xff04]);
        assert!(values_of::<f64>(&bytes[1..]).is_empty());
    }
}
