//! Mirrors an image left to right, half the time.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::resize::Axis;

/// Draws whether to mirror, as TensorFlow's `random_flip_left_right`.
pub fn draw(rng: &mut ChaCha8Rng) -> bool {
    rng.random_bool(0.5)
}

/// The columns in reverse order, so mirroring needs no extra pass over the pixels.
pub(super) fn mirrored(columns: &Axis) -> Axis {
    columns.rearranged((0..columns.len()).rev().map(Some))
}
