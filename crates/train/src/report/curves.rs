//! Loss over steps and accuracy over epochs, as SVG.

use std::ops::Range;

use plotters::prelude::*;

use crate::error::TrainError;
use crate::log::History;

const SIZE: (u32, u32) = (760, 380);
const FONT: (&str, u32) = ("sans-serif", 15);
const CAPTION: (&str, u32) = ("sans-serif", 18);
const STRONG: RGBColor = RGBColor(196, 78, 36);
const PALE: RGBColor = RGBColor(236, 200, 182);
const OTHER: RGBColor = RGBColor(96, 120, 144);

/// Most points of a curve. If there are more, neighbours are averaged.
const POINTS: usize = 500;

/// Share of the running mean that each record keeps.
const SMOOTHING: f64 = 0.9;

type Point = (f64, f64);

/// A named line.
struct Curve {
    name: &'static str,
    colour: RGBColor,
    points: Vec<Point>,
}

/// The curve of the loss. `None` if no step has a finite loss.
pub(super) fn loss(history: &History) -> Result<Option<String>, TrainError> {
    let steps = history.steps().map(|step| (step.step as f64, step.loss));
    let recorded: Vec<Point> = steps.filter(|(_, loss)| loss.is_finite()).collect();
    let Some(highest) = recorded.iter().map(|point| point.1).reduce(f64::max) else {
        return Ok(None);
    };
    let curves = [
        Curve {
            name: "recorded",
            colour: PALE,
            points: thinned(&recorded),
        },
        Curve {
            name: "running mean",
            colour: STRONG,
            points: thinned(&running_mean(&recorded)),
        },
    ];
    let lowest = recorded.iter().map(|point| point.1).fold(0.0, f64::min);
    let range = lowest..padded(lowest, highest);
    draw("Loss in training", ["step", "loss"], range, &curves).map(Some)
}

/// The curves of accuracy. `None` if nothing was evaluated.
pub(super) fn accuracy(history: &History) -> Result<Option<String>, TrainError> {
    let points = |share: fn(&crate::log::EpochRecord) -> f64| -> Vec<Point> {
        let epochs = history.epochs();
        epochs
            .map(|record| (record.epoch as f64, 100.0 * share(record)))
            .collect()
    };
    let curves = [
        Curve {
            name: "Accuracy",
            colour: STRONG,
            points: points(|record| record.accuracy),
        },
        Curve {
            name: "Recall_5",
            colour: OTHER,
            points: points(|record| record.recall_5),
        },
    ];
    let all = curves.iter().flat_map(|curve| &curve.points);
    let Some(lowest) = all.map(|point| point.1).reduce(f64::min) else {
        return Ok(None);
    };
    let range = (lowest / 10.0 - 0.1).floor().max(0.0) * 10.0..100.5;
    let axes = ["epoch", "% of the evaluated images"];
    draw("Accuracy in evaluation", axes, range, &curves).map(Some)
}

/// A range with space above the highest point, which is never empty.
fn padded(lowest: f64, highest: f64) -> f64 {
    let height = highest - lowest;
    if height > 0.0 {
        highest + 0.05 * height
    } else {
        lowest + 1.0
    }
}

/// A number without rounding errors of sums such as 0.1 + 0.2.
fn tick(value: &f64) -> String {
    format!("{}", (value * 1e6).round() / 1e6)
}

/// Exponential running mean, corrected for its start.
fn running_mean(points: &[Point]) -> Vec<Point> {
    let (mut sum, mut weight) = (0.0, 0.0);
    let means = points.iter().map(|&(x, y)| {
        sum = SMOOTHING * sum + (1.0 - SMOOTHING) * y;
        weight = SMOOTHING * weight + (1.0 - SMOOTHING);
        (x, sum / weight)
    });
    means.collect()
}

/// Averages neighbours if there are more points than a plot can show.
fn thinned(points: &[Point]) -> Vec<Point> {
    let chunks = points.chunks(points.len().div_ceil(POINTS).max(1));
    let means = chunks.map(|chunk| {
        let (x, y) = chunk
            .iter()
            .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (x / chunk.len() as f64, y / chunk.len() as f64)
    });
    means.collect()
}

fn draw(
    caption: &'static str,
    [x_axis, y_axis]: [&str; 2],
    y_range: Range<f64>,
    curves: &[Curve],
) -> Result<String, TrainError> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let drawn = draw_on(&area, caption, [x_axis, y_axis], y_range, curves)
        // plotters' errors borrow the drawing area, so convert them here.
        .map_err(|error| TrainError::Draw {
            figure: caption,
            problem: error.to_string(),
        });
    drop(area);
    drawn.map(|()| svg)
}

fn draw_on<B: DrawingBackend>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    caption: &str,
    [x_axis, y_axis]: [&str; 2],
    y_range: Range<f64>,
    curves: &[Curve],
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let all = curves.iter().flat_map(|curve| &curve.points);
    let last = all.map(|point| point.0).fold(1.0, f64::max);
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .caption(caption, CAPTION)
        .margin(12)
        .set_label_area_size(LabelAreaPosition::Bottom, 44)
        .set_label_area_size(LabelAreaPosition::Left, 60)
        .build_cartesian_2d(0.0..last * 1.02, y_range)?;
    chart
        .configure_mesh()
        .x_desc(x_axis)
        .y_desc(y_axis)
        .x_label_formatter(&tick)
        .y_label_formatter(&tick)
        .light_line_style(TRANSPARENT)
        .label_style(FONT)
        .draw()?;
    for curve in curves {
        let style = curve.colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), style))?
            .label(curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        // Mark the points of short curves: a line through a single point would be invisible.
        if curve.points.len() <= 30 {
            let dots = curve.points.iter();
            chart.draw_series(dots.map(|&point| Circle::new(point, 3, curve.colour.filled())))?;
        }
    }
    chart
        .configure_series_labels()
        .label_font(FONT)
        .background_style(WHITE.mix(0.8))
        .border_style(TRANSPARENT)
        .position(if caption.starts_with("Loss") {
            SeriesLabelPosition::UpperRight
        } else {
            SeriesLabelPosition::LowerRight
        })
        .draw()?;
    area.present()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_points_become_few_and_keep_their_mean() {
        let points: Vec<Point> = (0..12_345).map(|i| (f64::from(i), 2.0)).collect();
        let few = thinned(&points);
        assert!(few.len() <= POINTS && few.len() > POINTS / 2);
        assert!(few.iter().all(|point| point.1 == 2.0));
        assert!(few.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn the_mean_begins_at_the_first_value() {
        let mean = running_mean(&[(1.0, 4.0), (2.0, 4.0), (3.0, 1.0)]);
        assert!((mean[0].1 - 4.0).abs() < 1e-12);
        assert!(mean[2].1 < 4.0 && mean[2].1 > 1.0);
    }
}
