//! Numbers as their bits in messages between ranks, because JSON has no NaN and rounds.

use serde::{Deserialize, Deserializer, Serializer};

/// Numbers that f64 holds exactly.
pub(crate) trait Number: Copy + Into<f64> {
    fn of(value: f64) -> Self;
}

impl Number for f64 {
    fn of(value: f64) -> Self {
        value
    }
}

impl Number for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }
}

pub(crate) fn serialize<T: Number, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    let value: f64 = (*value).into();
    to.serialize_u64(value.to_bits())
}

pub(crate) fn deserialize<'de, T: Number, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Ok(T::of(f64::from_bits(u64::deserialize(from)?)))
}
