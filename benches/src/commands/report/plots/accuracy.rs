//! Accuracy of the published weights against the time of the plan.

use super::super::results::Results;
use super::scatter::{Frame, Mark, scatter};

/// Top-1 accuracy of Google's released weights (TF-slim's mobilenet_v1.md).
const ACCURACIES: [(f64, [f64; 4]); 4] = [
    (1.0, [70.9, 70.0, 68.0, 65.2]),
    (0.75, [68.4, 67.2, 65.3, 62.1]),
    (0.5, [63.3, 61.7, 59.1, 56.3]),
    (0.25, [49.8, 47.7, 45.5, 41.5]),
];

pub(in super::super) fn accuracy(width: f64, resolution: usize) -> Option<f64> {
    let (_, row) = ACCURACIES.iter().find(|(of, _)| *of == width)?;
    let column = [224, 192, 160, 128]
        .iter()
        .position(|&side| side == resolution)?;
    Some(row[column])
}

/// One point per published size, and a line per width.
pub(super) fn plot(results: &Results) -> String {
    let lines = ACCURACIES.map(|(width, _)| {
        let of_width = results.sizes.iter().filter(|size| size.width == width);
        let sizes: Vec<_> = of_width
            .filter_map(|size| Some((size, accuracy(width, size.resolution)?)))
            .collect();
        let times = sizes.iter().map(|(size, _)| size.min_ms);
        let slowest = times.reduce(f64::max);
        let marks = sizes.iter().map(|&(size, accuracy)| Mark {
            x: size.min_ms,
            y: accuracy,
            error: 0.0,
            label: match slowest == Some(size.min_ms) {
                true => format!("{width}/{}", size.resolution),
                false => size.resolution.to_string(),
            },
        });
        marks.collect()
    });
    let frame = Frame {
        title: "Top-1 accuracy against time of the plan, one thread",
        note: "a line is a width, a point a resolution",
        x_title: "milliseconds per image",
        y_title: "top-1 accuracy, %",
        y_range: [70.0, 70.0],
        y_step: 5.0,
    };
    scatter(&frame, &lines)
}
