//! Boxes relative to their anchors, as the network predicts them.

use crate::anchors::Anchor;
use crate::bounds::Bounds;

/// TensorFlow adds it to sizes before it divides by them.
const EPSILON: f32 = 1e-8;

/// The coder of Faster R-CNN: `[y, x, height, width]`, offsets of the centre in units of the
/// anchor's size, and logarithms of the ratio of the sizes, each times a factor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxCoder {
    /// Factors of y, x, height and width.
    pub scales: [f32; 4],
}

impl Default for BoxCoder {
    /// The factors of SSD.
    fn default() -> Self {
        Self {
            scales: [10.0, 10.0, 5.0, 5.0],
        }
    }
}

impl BoxCoder {
    /// The box that a network means. Rounded as `TFLite_Detection_PostProcess` does: terms in f64,
    /// centre and half of the size to f32, sides in f32.
    pub fn decode(&self, encoding: [f32; 4], anchor: Anchor) -> Bounds {
        let [y, x, height, width] =
            std::array::from_fn(|index| f64::from(encoding[index]) / f64::from(self.scales[index]));
        let anchor = anchor.map(f64::from);
        let centre = [y * anchor[2] + anchor[0], x * anchor[3] + anchor[1]];
        let half = [
            0.5 * height.exp() * anchor[2],
            0.5 * width.exp() * anchor[3],
        ];
        let (centre, half) = (centre.map(|v| v as f32), half.map(|v| v as f32));
        [
            centre[0] - half[0],
            centre[1] - half[1],
            centre[0] + half[0],
            centre[1] + half[1],
        ]
    }

    /// What a network is to predict for a box.
    pub fn encode(&self, [top, left, bottom, right]: Bounds, anchor: Anchor) -> [f32; 4] {
        let [y, x, height, width] = anchor;
        let sizes = [bottom - top + EPSILON, right - left + EPSILON];
        let (height, width) = (height + EPSILON, width + EPSILON);
        let centre = [top + (bottom - top) / 2.0, left + (right - left) / 2.0];
        let [by_y, by_x, by_height, by_width] = self.scales;
        [
            (centre[0] - y) / height * by_y,
            (centre[1] - x) / width * by_x,
            (sizes[0] / height).ln() * by_height,
            (sizes[1] / width).ln() * by_width,
        ]
    }
}
