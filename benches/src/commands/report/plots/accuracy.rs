//! Accuracy of the published weights against the time of the plan.

use super::super::results::{Results, SizeSpeed};
use super::axis::{Axis, draw_horizontal, draw_vertical};
use super::canvas::{Canvas, Point};
use super::labels::Labels;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 500.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = WIDTH - 24.0;
const TOP: f64 = 70.0;
const BOTTOM: f64 = HEIGHT - 54.0;

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
    let sizes = results.sizes.iter();
    let sizes: Vec<(&SizeSpeed, f64)> = sizes
        .filter_map(|size| Some((size, accuracy(size.width, size.resolution)?)))
        .collect();
    let times = || sizes.iter().map(|(size, _)| size.min_ms);
    let accuracies = || sizes.iter().map(|(_, accuracy)| *accuracy);
    let (fastest, slowest) = (times().reduce(f64::min), times().reduce(f64::max));
    let x_axis = Axis::logarithmic(
        "milliseconds per image",
        fastest.unwrap_or(1.0),
        slowest.unwrap_or(10.0),
        (LEFT, RIGHT),
    );
    let y_axis = Axis::linear(
        "top-1 accuracy, %",
        accuracies().fold(70.0, f64::min) - 1.0,
        accuracies().fold(70.0, f64::max) + 1.0,
        5.0,
        (BOTTOM, TOP),
    );
    let title = "Top-1 accuracy against time of the plan, one thread";
    let mut canvas = Canvas::new(WIDTH, HEIGHT, title);
    let note = "a line is a width, a point a resolution";
    canvas.text("soft", (16.0, 50.0), note);
    draw_horizontal(&mut canvas, &x_axis, TOP, BOTTOM);
    draw_vertical(&mut canvas, &y_axis, LEFT, RIGHT);

    let mut labels = Labels::new((LEFT, TOP), (RIGHT, BOTTOM));
    let mut names: Vec<(Point, String, String)> = Vec::new();
    for (series, (width, _)) in ACCURACIES.into_iter().enumerate() {
        let class = format!("coloured series{series}");
        let of_width = sizes.iter().filter(|(size, _)| size.width == width);
        let points: Vec<(Point, usize)> = of_width
            .map(|(size, accuracy)| {
                let point = (x_axis.at(size.min_ms), y_axis.at(*accuracy));
                (point, size.resolution)
            })
            .collect();
        let line: Vec<Point> = points.iter().map(|&(point, _)| point).collect();
        canvas.line(&format!("line {class}"), &line);
        labels.avoid(&line);
        let slowest = points.iter().max_by(|a, b| a.0.0.total_cmp(&b.0.0));
        for (point, resolution) in &points {
            let ends = slowest.is_some_and(|(slowest, _)| slowest == point);
            let name = if ends {
                format!("{width}/{resolution}")
            } else {
                resolution.to_string()
            };
            names.push((*point, name, class.clone()));
        }
    }
    for (point, _, class) in &names {
        canvas.dot(class, *point);
        labels.avoid(&[*point]);
    }
    for (point, name, class) in &names {
        let centre = labels.place(*point, name);
        canvas.text(&format!("middle {class}"), centre, name);
    }
    canvas.svg()
}
