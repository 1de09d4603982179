//! The candidates as SVG: published accuracy against time, the front as lines.

use std::fmt::Write;

use super::candidate::Candidate;
use crate::args::Precision;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 24.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = HEIGHT - 56.0;
const COLOURS: [(Precision, &str); 2] = [(Precision::F32, "#c44e24"), (Precision::Int8, "#2b6cb0")];

/// Candidates with an accuracy.
pub(super) fn svg(candidates: &[Candidate], max_ms: Option<f64>) -> String {
    let shown = || {
        let known = |c: &&Candidate| c.accuracy.is_some();
        candidates.iter().filter(known)
    };
    let times = || shown().map(|c| c.milliseconds).chain(max_ms);
    let (least, most) = (
        times().fold(f64::INFINITY, f64::min) / 1.2,
        times().fold(0.0, f64::max) * 1.2,
    );
    let accuracies = || shown().filter_map(|c| c.accuracy);
    let low = (accuracies().fold(100.0, f64::min) / 5.0).floor() * 5.0;
    let high = (accuracies().fold(0.0, f64::max) / 5.0).ceil() * 5.0;
    let x = |ms: f64| LEFT + (ms / least).ln() / (most / least).ln() * (RIGHT - LEFT);
    let y = |accuracy: f64| BOTTOM - (accuracy - low) / (high - low) * (BOTTOM - TOP);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"16\">Published top-1 accuracy against milliseconds on \
         this machine</text>\n\
         <text x=\"16\" y=\"46\">full: measured, hollow: interpolated; larger: nothing is better in \
         everything</text>\n"
    );
    let mut accuracy = low;
    while accuracy <= high {
        let at = y(accuracy);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{RIGHT}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{accuracy} %</text>",
            LEFT - 6.0,
            at + 4.0
        );
        accuracy += 5.0;
    }
    for power in -3..5 {
        for step in [1.0, 2.0, 5.0] {
            let ms = step * 10f64.powi(power);
            if (least..=most).contains(&ms) {
                let _ = writeln!(
                    svg,
                    "<path d=\"M{0:.1} {TOP}V{BOTTOM}\" stroke=\"#ddd\"/><text x=\"{0:.1}\" \
                     y=\"{1:.1}\" text-anchor=\"middle\">{2}</text>",
                    x(ms),
                    BOTTOM + 16.0,
                    (ms * 1e4).round() / 1e4
                );
            }
        }
    }
    if let Some(ms) = max_ms {
        let _ = writeln!(
            svg,
            "<path d=\"M{:.1} {TOP}V{BOTTOM}\" stroke=\"#444\" stroke-dasharray=\"5 4\"/>",
            x(ms)
        );
    }
    for (index, (precision, colour)) in COLOURS.into_iter().enumerate() {
        let name = precision.name();
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\" text-anchor=\"end\">{name}</text>",
            RIGHT - 8.0,
            BOTTOM - 10.0 - 16.0 * index as f64
        );
        for candidate in shown().filter(|c| c.precision == precision) {
            let at = (
                x(candidate.milliseconds),
                y(candidate.accuracy.unwrap_or(low)),
            );
            let fill = if candidate.measured { colour } else { "white" };
            let radius = if candidate.front { 5.0 } else { 3.0 };
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius}\" fill=\"{fill}\" \
                 stroke=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\" font-size=\"9\">{}/{}</text>",
                at.0,
                at.1,
                at.0 + 6.0,
                at.1 + 11.0,
                candidate.width,
                candidate.resolution
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}
