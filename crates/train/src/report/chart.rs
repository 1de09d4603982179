//! A line chart as SVG inside the page, whose style sheet has its colours.

use std::fmt::Write;
use std::ops::Range;

use super::text::rounded;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = WIDTH - 28.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = HEIGHT - 50.0;

pub(super) type Point = (f64, f64);

/// A named line. The style is a class of the style sheet.
pub(super) struct Curve {
    pub(super) name: &'static str,
    pub(super) style: &'static str,
    pub(super) points: Vec<Point>,
}

/// Curves over steps or epochs, which begin at 0.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) x_axis: &'a str,
    pub(super) y_axis: &'a str,
    /// The last step or epoch.
    pub(super) x: f64,
    /// Values that must be visible. The axis ends at the next ticks.
    pub(super) y: Range<f64>,
    /// The first is on top.
    pub(super) curves: &'a [Curve],
}

impl Chart<'_> {
    /// A figure with title, legend and curves.
    pub(super) fn figure(&self) -> String {
        let last = self.x.max(1.0);
        // Steps and epochs are whole numbers.
        let x_step = step(last, 8.0).max(1.0);
        let y_step = step(self.y.end - self.y.start, 6.0);
        let low = (self.y.start / y_step).floor() * y_step;
        let high = ((self.y.end / y_step).ceil() * y_step).max(low + y_step);
        let at_x = |x: f64| LEFT + x / last * (RIGHT - LEFT);
        let at_y = |y: f64| BOTTOM - (y - low) / (high - low) * (BOTTOM - TOP);

        let mut svg = String::new();
        for value in multiples(low, high, y_step) {
            let y = at_y(value);
            let (below, label) = (y + 4.5, rounded(value));
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>\
                 <text class=\"end\" x=\"{:.1}\" y=\"{below:.1}\">{label}</text>",
                LEFT - 8.0
            );
        }
        for value in multiples(0.0, last, x_step) {
            let (x, label) = (at_x(value), rounded(value));
            let _ = writeln!(
                svg,
                "<path class=\"axis\" d=\"M{x:.1} {BOTTOM}v5\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\">{label}</text>",
                BOTTOM + 20.0
            );
        }
        let _ = writeln!(
            svg,
            "<path class=\"axis\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>\n\
             <text transform=\"translate(15 {:.1})rotate(-90)\">{}</text>",
            (LEFT + RIGHT) / 2.0,
            HEIGHT - 8.0,
            self.x_axis,
            (TOP + BOTTOM) / 2.0,
            self.y_axis
        );
        let legend = self
            .curves
            .iter()
            .map(|Curve { name, style, .. }| format!(" <span class=\"key {style}\">{name}</span>"));
        let legend: String = legend.collect();
        for Curve { style, points, .. } in self.curves.iter().rev() {
            let mut path = String::new();
            for (index, &(x, y)) in points.iter().enumerate() {
                let command = if index == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{command}{:.1} {:.1}", at_x(x), at_y(y));
            }
            let _ = writeln!(svg, "<path class=\"curve {style}\" d=\"{path}\"/>");
            // Mark the points of short curves: a line through a single point would be invisible.
            if points.len() <= 30 {
                for &(x, y) in points {
                    let (x, y) = (at_x(x), at_y(y));
                    let _ = writeln!(
                        svg,
                        "<circle class=\"{style}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>"
                    );
                }
            }
        }
        let title = self.title;
        format!(
            "<figure class=\"chart\">\n<figcaption><b>{title}</b>{legend}</figcaption>\n\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n{svg}\
             </svg>\n</figure>\n"
        )
    }
}

/// Distance of about `count` ticks on an axis of this length: 1, 2 or 5 times a power of ten.
fn step(length: f64, count: f64) -> f64 {
    let least = length / count;
    let power = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0].map(|factor| factor * power);
    let step = step.into_iter().find(|&step| step >= least);
    let step = step.unwrap_or(10.0 * power);
    // An axis without length has a step of 1.
    if step > 0.0 && step.is_finite() {
        step
    } else {
        1.0
    }
}

/// Multiples of the step from `low` to `high`. The limit is for axes whose length is infinite.
fn multiples(low: f64, high: f64, step: f64) -> impl Iterator<Item = f64> {
    let first = (low / step - 1e-9).ceil();
    let values = (0..20).map(move |index| (first + f64::from(index)) * step);
    values.take_while(move |&value| value <= high + 1e-9 * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let ticks = |low: f64, high: f64| -> Vec<String> {
            let step = step(high - low, 6.0);
            multiples(low, high, step).map(rounded).collect()
        };
        assert_eq!(ticks(0.0, 0.5), ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(ticks(0.0, 7.1), ["0", "2", "4", "6"]);
        assert_eq!(ticks(55.0, 100.0), ["60", "70", "80", "90", "100"]);
        assert_eq!(ticks(-0.25, 0.9), ["-0.2", "0", "0.2", "0.4", "0.6", "0.8"]);
        assert_eq!(ticks(0.0, 1e300).len(), 6);
        assert_eq!(ticks(0.0, f64::INFINITY).len(), 20);
        assert_eq!(ticks(3.0, 3.0), ["3"]);
    }

    #[test]
    fn the_axis_covers_its_values_and_one_point_is_a_dot() {
        let curves = [Curve {
            name: "one",
            style: "strong",
            points: vec![(1.0, 94.5)],
        }];
        let chart = Chart {
            title: "t",
            x_axis: "epoch",
            y_axis: "%",
            x: 1.0,
            y: 90.2..100.0,
            curves: &curves,
        };
        let figure = chart.figure();
        for part in [">90</text>", ">100</text>", ">1</text>", "cy=\"159.4\""] {
            assert!(figure.contains(part), "no {part} in {figure}");
        }
    }
}
