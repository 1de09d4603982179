//! What is published of the 16 sizes: top-1 accuracy on ImageNet's validation photos, single crop
//! (TF-slim's mobilenet_v1.md; of int8 the quantised TFLite models).

use super::grid::Grid;
use crate::args::Precision;

const F32: [[f64; 4]; 4] = [
    [41.5, 45.5, 47.7, 49.8],
    [56.3, 59.1, 61.7, 63.3],
    [62.1, 65.3, 67.2, 68.4],
    [65.2, 68.0, 70.0, 70.9],
];
const INT8: [[f64; 4]; 4] = [
    [39.5, 43.4, 46.0, 48.0],
    [54.5, 57.7, 60.0, 60.7],
    [55.8, 62.3, 66.1, 66.8],
    [63.4, 67.2, 69.2, 70.1],
];

/// The accuracies by width and side.
pub(super) fn accuracies(precision: Precision) -> Grid {
    Grid::new(match precision {
        Precision::F32 => F32,
        Precision::Int8 => INT8,
    })
}
