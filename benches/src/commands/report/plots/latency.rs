//! Bars of all engines in one scenario.

use super::super::results::{Results, Scenario};
use super::axis::{Axis, draw_horizontal};
use super::canvas::Canvas;

const WIDTH: f64 = 760.0;
const TOP: f64 = 74.0;
const ROW: f64 = 28.0;
const LEFT: f64 = 130.0;
const RIGHT: f64 = WIDTH - 70.0;

/// One bar per engine, fastest first: as long as its fastest run, with a line to the median.
pub(super) fn plot(results: &Results, scenario: Scenario) -> String {
    let found = results.of(scenario);
    let bottom = TOP + ROW * found.len() as f64;
    let mut canvas = Canvas::new(
        WIDTH,
        bottom + 54.0,
        &format!("{scenario}: milliseconds, shorter is better"),
    );
    canvas.text(
        "soft",
        (16.0, 50.0),
        "bar and number: fastest run; thin line: to the median; logarithmic scale",
    );
    let fastest = found.iter().map(|found| found.min_ms);
    let slowest = found.iter().map(|found| found.median_ms);
    let fastest = fastest.fold(f64::INFINITY, f64::min);
    let slowest = slowest.fold(0.0, f64::max);
    // The fastest engine has a bar too.
    let pixels = (LEFT, RIGHT);
    let axis = Axis::logarithmic("milliseconds", fastest / 1.5, slowest, pixels);
    draw_horizontal(&mut canvas, &axis, TOP, bottom);
    for (index, measurement) in found.iter().enumerate() {
        let top = TOP + ROW * index as f64;
        let middle = top + ROW / 2.0;
        let class = if measurement.is_ours() {
            "ours"
        } else {
            "others"
        };
        let (end, median) = (axis.at(measurement.min_ms), axis.at(measurement.median_ms));
        canvas.rectangle(class, (LEFT, top + 5.0), (end, top + ROW - 5.0));
        canvas.line("median", &[(end, middle), (median, middle)]);
        canvas.line("median", &[(median, middle - 4.0), (median, middle + 4.0)]);
        canvas.text("end", (LEFT - 8.0, middle), &measurement.engine);
        let decimals = if measurement.min_ms < 1.0 { 3 } else { 2 };
        let label = format!("{:.decimals$}", measurement.min_ms);
        canvas.text("", (median + 7.0, middle), &label);
    }
    canvas.svg()
}
