//! Left and right exchanged, half the time.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::resize::Axis;

/// Whether to mirror, TensorFlow's `random_flip_left_right`.
pub(super) fn draw(rng: &mut ChaCha8Rng) -> bool {
    rng.random_bool(0.5)
}

/// The columns in the other direction: mirroring costs no pass over the pixels.
pub(super) fn mirrored(columns: &Axis) -> Axis {
    columns.rearranged((0..columns.len()).rev().map(Some))
}
