//! Lines of labelled points, with a logarithmic horizontal axis.

use super::axis::{Axis, draw_horizontal, draw_vertical};
use super::canvas::{Canvas, Point};
use super::labels::Labels;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 500.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = WIDTH - 24.0;
const TOP: f64 = 70.0;
const BOTTOM: f64 = HEIGHT - 54.0;

/// A plot's texts and its vertical range.
pub(in crate::commands) struct Frame<'a> {
    pub(in crate::commands) title: &'a str,
    pub(in crate::commands) note: &'a str,
    pub(in crate::commands) x_title: &'a str,
    pub(in crate::commands) y_title: &'a str,
    /// Values that the vertical axis covers at least.
    pub(in crate::commands) y_range: [f64; 2],
    /// Distance of the vertical axis' ticks.
    pub(in crate::commands) y_step: f64,
}

/// A point.
pub(in crate::commands) struct Mark {
    pub(in crate::commands) x: f64,
    pub(in crate::commands) y: f64,
    /// Half the length of a vertical bar.
    pub(in crate::commands) error: f64,
    pub(in crate::commands) label: String,
}

/// Draws a line through each list of points.
pub(in crate::commands) fn scatter(frame: &Frame<'_>, lines: &[Vec<Mark>]) -> String {
    let all = || lines.iter().flatten();
    let (least, most) = (
        all().map(|mark| mark.x).reduce(f64::min).unwrap_or(1.0),
        all().map(|mark| mark.x).reduce(f64::max).unwrap_or(10.0),
    );
    let [low, high] = frame.y_range;
    let low = all().map(|mark| mark.y - mark.error).fold(low, f64::min);
    let high = all().map(|mark| mark.y + mark.error).fold(high, f64::max);
    let x_axis = Axis::logarithmic(frame.x_title, least, most, (LEFT, RIGHT));
    let y_axis = Axis::linear(
        frame.y_title,
        low - 1.0,
        high + 1.0,
        frame.y_step,
        (BOTTOM, TOP),
    );
    let mut canvas = Canvas::new(WIDTH, HEIGHT, frame.title);
    canvas.text("soft", (16.0, 50.0), frame.note);
    draw_horizontal(&mut canvas, &x_axis, TOP, BOTTOM);
    draw_vertical(&mut canvas, &y_axis, LEFT, RIGHT);

    let mut labels = Labels::new((LEFT, TOP), (RIGHT, BOTTOM));
    let mut names: Vec<(Point, &str, String)> = Vec::new();
    for (series, marks) in lines.iter().enumerate() {
        let class = format!("coloured series{series}");
        let at = |mark: &Mark| (x_axis.at(mark.x), y_axis.at(mark.y));
        let line: Vec<Point> = marks.iter().map(at).collect();
        canvas.line(&format!("line {class}"), &line);
        labels.avoid(&line);
        for mark in marks {
            if mark.error > 0.0 {
                let x = x_axis.at(mark.x);
                let ends = [mark.y - mark.error, mark.y + mark.error];
                canvas.line(&format!("line {class}"), &ends.map(|y| (x, y_axis.at(y))));
            }
            names.push((at(mark), &mark.label, class.clone()));
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
