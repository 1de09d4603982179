//! slim's table of released models (`mobilenet_v1.md`).

use std::fmt::Write as _;

use anyhow::{Context, Result};

use super::super::report::plots::scatter::{Frame, Mark, scatter};
use super::figure::{Cost, Printed};

/// The plot, beside the page.
pub(super) const PLOT: &str = "images/paper_accuracy.svg";

/// Classes of the released weights: ImageNet's and the background.
const CLASSES: usize = 1001;

/// Width, resolution; millions of multiply-adds and parameters; top-1 and top-5 accuracy in f32, then
/// in 8-bit integers.
type Released = (f64, usize, &'static str, &'static str, [f64; 4]);

const RELEASED: [Released; 16] = [
    (1.0, 224, "569", "4.24", [70.9, 89.9, 70.1, 88.9]),
    (1.0, 192, "418", "4.24", [70.0, 89.2, 69.2, 88.3]),
    (1.0, 160, "291", "4.24", [68.0, 87.7, 67.2, 86.7]),
    (1.0, 128, "186", "4.24", [65.2, 85.8, 63.4, 84.2]),
    (0.75, 224, "317", "2.59", [68.4, 88.2, 66.8, 87.0]),
    (0.75, 192, "233", "2.59", [67.2, 87.3, 66.1, 86.4]),
    (0.75, 160, "162", "2.59", [65.3, 86.0, 62.3, 83.8]),
    (0.75, 128, "104", "2.59", [62.1, 83.9, 55.8, 78.8]),
    (0.5, 224, "150", "1.34", [63.3, 84.9, 60.7, 83.2]),
    (0.5, 192, "110", "1.34", [61.7, 83.6, 60.0, 82.2]),
    (0.5, 160, "77", "1.34", [59.1, 81.9, 57.7, 80.4]),
    (0.5, 128, "49", "1.34", [56.3, 79.4, 54.5, 77.7]),
    (0.25, 224, "41", "0.47", [49.8, 74.2, 48.0, 72.8]),
    (0.25, 192, "34", "0.47", [47.7, 72.3, 46.0, 71.2]),
    (0.25, 160, "21", "0.47", [45.5, 70.3, 43.4, 68.5]),
    (0.25, 128, "14", "0.47", [41.5, 66.3, 39.5, 64.4]),
];

/// Figure 4 of the paper: accuracy against multiply-adds on a logarithmic axis. The paper prints no
/// numbers for it, so these are the released models' accuracies.
pub(super) fn plot() -> Result<String> {
    let mut lines: Vec<Vec<Mark>> = Vec::new();
    for (width, side, _, _, [accuracy, ..]) in RELEASED {
        let is_largest = side == 224;
        if is_largest {
            lines.push(Vec::new());
        }
        let mark = Mark {
            x: Cost::mobilenet(width, side, CLASSES)?.whole,
            y: accuracy,
            error: 0.0,
            label: match is_largest {
                true => format!("{width}/{side}"),
                false => side.to_string(),
            },
        };
        lines.last_mut().context("a line")?.push(mark);
    }
    let frame = Frame {
        title: "Top-1 accuracy against multiply-adds",
        note: "released models; a line is a width, a point a resolution",
        x_title: "million multiply-adds",
        y_title: "top-1 accuracy, %",
        y_range: [45.0, 70.0],
        y_step: 5.0,
    };
    Ok(scatter(&frame, &lines))
}

/// By how many points accuracy rises where multiply-adds double, by least squares over the models of
/// these widths, and the largest distance from that line.
fn slope(widths: &[f64]) -> Result<[f64; 2]> {
    let chosen = RELEASED.iter().filter(|model| widths.contains(&model.0));
    let points = chosen
        .map(|&(width, side, _, _, [accuracy, ..])| {
            Ok([
                Cost::mobilenet(width, side, CLASSES)?.whole.log2(),
                accuracy,
            ])
        })
        .collect::<Result<Vec<[f64; 2]>>>()?;
    let count = points.len() as f64;
    let mean = |axis: usize| points.iter().map(|point| point[axis]).sum::<f64>() / count;
    let (x, y) = (mean(0), mean(1));
    let (products, squares) = points
        .iter()
        .fold((0.0, 0.0), |(products, squares), point| {
            let from = point[0] - x;
            (products + from * (point[1] - y), squares + from * from)
        });
    let slope = products / squares;
    let distances = points
        .iter()
        .map(|point| (point[1] - y - slope * (point[0] - x)).abs());
    Ok([slope, distances.fold(0.0, f64::max)])
}

pub(super) fn figure() -> Result<String> {
    let ([wide, far], [narrow, _]) = (slope(&[1.0, 0.75, 0.5])?, slope(&[0.25])?);
    Ok(format!(
        "## Figure 4: accuracy against multiply-adds\n\n\
         ![Accuracy against multiply-adds on a logarithmic axis]({PLOT})\n\n\
         The paper calls it log linear, with a jump at width 0.25. In the released models, each doubling adds\n\
         {wide:.1} points at widths 0.5 to 1, where no model is farther than {far:.1} points from the line, and\n\
         {narrow:.1} points at width 0.25.\n\n"
    ))
}

pub(super) fn table() -> Result<String> {
    let mut text = format!(
        "## slim's table of released models\n\n\
         From `mobilenet_v1.md`; recomputed with {CLASSES} classes. Bold figures are not the architecture's:\n\
         those of width 0.75 are below the paper's own (325 for 0.75-224), which is right. 4.24 is between\n\
         the trainable values and all values; 150 is 149.498 rounded twice.\n\n\
         | model | M multiply-adds | recomputed | M parameters | trainable, all | top-1 | top-5 | int8 top-1 | int8 top-5 |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|\n"
    );
    for (width, side, adds, parameters, [top_1, top_5, quant_1, quant_5]) in RELEASED {
        let cost = Cost::mobilenet(width, side, CLASSES)?;
        let all = all_values(width, side)?;
        let counts = [("body", cost.body), ("whole", cost.whole)];
        let mark = |printed: &'static str, counts: &[(&str, f64)]| match Printed::Exact(printed)
            .agrees(counts)
        {
            Some(_) => printed.to_string(),
            None => format!("**{printed}**"),
        };
        writeln!(
            text,
            "| {width:?}-{side} | {} | {:.1} | {} | {:.3}, {all:.3} | {top_1:.1} | {top_5:.1} | {quant_1:.1} | {quant_5:.1} |",
            mark(adds, &counts),
            cost.whole,
            mark(parameters, &[("trainable", cost.trainable), ("all", all)]),
            cost.trainable,
        )?;
    }
    Ok(text + "\n")
}

/// All values, running statistics included, in millions.
fn all_values(width: f64, side: usize) -> Result<f64> {
    let config = mobilenet::model::MobileNetV1Config {
        num_classes: Some(CLASSES),
        ..mobilenet::model::MobileNetV1Config::with_width(width)
    };
    let summary = mobilenet::model::inspect::summary(&config, side, side)?;
    Ok(summary.parameters as f64 / 1e6)
}
