//! What follows a network byte by byte: all 256 results in a table.

use super::network::Quantized;

/// The integers of one meaning in another meaning, as TFLite's concatenation rescales what it joins:
/// in f32, ties away from zero. The index is the integer minus its type's least.
pub fn joined(from: Quantized, to: Quantized) -> [u8; 256] {
    let factor = from.scale * (1.0 / to.scale);
    let offset = -(from.zero_point as f32) * factor;
    let same = from.scale == to.scale && from.zero_point == to.zero_point;
    table(
        |integer| match same {
            true => integer,
            false => {
                let steps = (integer as f32 * factor + offset).round() as i32;
                steps.saturating_add(to.zero_point)
            }
        },
        from,
        to,
    )
}

/// The logistic function of the integers of one meaning, in another meaning, as TFLite computes it.
/// Indexed as [`joined`].
pub fn sigmoid(from: Quantized, to: Quantized) -> [u8; 256] {
    let function = |integer: i32| {
        let number = from.scale * (integer as f32 - from.zero_point as f32);
        let share = 1.0 / (1.0 + (-number).exp());
        let steps = (share * (1.0 / to.scale)).round() as i32;
        steps.saturating_add(to.zero_point)
    };
    table(function, from, to)
}

fn table(function: impl Fn(i32) -> i32, from: Quantized, to: Quantized) -> [u8; 256] {
    std::array::from_fn(|index| {
        let integer = function(index as i32 + from.integer.min());
        (integer.clamp(to.integer.min(), to.integer.max()) - to.integer.min()) as u8
    })
}
