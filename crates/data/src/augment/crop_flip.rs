//! The usual augmentation of small images (CIFAR, Fashion-MNIST): add a border, crop the old size
//! at a random offset, and mirror half the time.

use mobilenet_photos::Photo;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::crop::CropBox;
use super::flip;
use super::resize::{Axis, resample};

/// Pixels beyond an image's edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Border {
    /// Black.
    Zero,
    /// The image mirrored at its edge pixel, which is not repeated.
    Reflect,
}

/// Applies the rule. Border and crop only shift rows and columns, so no padded copy is needed.
pub(super) fn apply(
    photo: &Photo,
    padding: usize,
    border: Border,
    resolution: usize,
    rng: &mut ChaCha8Rng,
    out: &mut [f32],
) {
    let whole = CropBox::whole(photo.height() as usize, photo.width() as usize);
    let [rows, columns] = whole.bilinear_axes([resolution; 2]);
    let mut shift = |axis: &Axis| {
        let offset = rng.random_range(0..=2 * padding);
        axis.rearranged((0..resolution).map(|i| source(i + offset, padding, resolution, border)))
    };
    let (rows, mut columns) = (shift(&rows), shift(&columns));
    if flip::draw(rng) {
        columns = flip::mirrored(&columns);
    }
    resample(photo, &rows, &columns, out);
}

/// The source of a position on the padded axis. `None` is black.
fn source(position: usize, padding: usize, length: usize, border: Border) -> Option<usize> {
    if (padding..padding + length).contains(&position) {
        return Some(position - padding);
    }
    match border {
        Border::Zero => None,
        Border::Reflect if length == 1 => Some(0),
        Border::Reflect => {
            let period = 2 * (length - 1) as i64;
            let folded = (position as i64 - padding as i64).rem_euclid(period);
            Some(folded.min(period - folded) as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_does_not_repeat_the_edge() {
        let reflected: Vec<_> = (0..10)
            .map(|position| source(position, 3, 4, Border::Reflect).unwrap())
            .collect();
        assert_eq!(reflected, [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]);
        assert_eq!(source(0, 9, 4, Border::Reflect), Some(3));
        assert_eq!(source(0, 5, 1, Border::Reflect), Some(0));
    }

    #[test]
    fn beyond_the_edge_is_black() {
        let padded: Vec<_> = (0..4)
            .map(|position| source(position, 1, 2, Border::Zero))
            .collect();
        assert_eq!(padded, [None, Some(0), Some(1), None]);
    }
}
