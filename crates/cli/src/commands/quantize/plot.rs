//! The report as SVG: a bar for the signal to noise ratio of each layer, and one for the photos of
//! which both networks name the same class.

use std::fmt::Write;

use super::summary::Report;

const WIDTH: f64 = 720.0;
const ROW: f64 = 17.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = WIDTH - 60.0;
/// Where the bars of the layers begin.
const TOP: f64 = 104.0;
/// Decibels at the right end, more than 8 bits reach.
const MOST: f64 = 60.0;

pub(super) fn svg(report: &Report) -> String {
    let height = TOP + ROW * report.layers.len() as f64 + 40.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"16\">{}, {} bits, calibrated with {} photos</text>\n",
        report.scheme, report.weight_bits, report.calibration_photos
    );
    let title = |svg: &mut String, y: f64, text: &str| {
        let _ = writeln!(
            svg,
            "<text x=\"16\" y=\"{y}\" font-weight=\"bold\">{text}</text>"
        );
    };
    title(
        &mut svg,
        50.0,
        "Photos with the same class as the float network",
    );
    if let Some(agreement) = report.agreement {
        let label = format!("{:.1} %", 100.0 * agreement);
        let name = format!("{} of {} photos", report.same_class, report.test_photos);
        bar(&mut svg, 56.0, &name, agreement, &label);
    }
    title(
        &mut svg,
        TOP - 10.0,
        "Signal to noise ratio of each layer's output, in dB",
    );
    for (index, layer) in report.layers.iter().enumerate() {
        let y = TOP + ROW * index as f64;
        let (share, label) = match layer.decibels {
            Some(decibels) => (decibels / MOST, format!("{decibels:.1}")),
            None => (0.0, "-".to_string()),
        };
        bar(&mut svg, y, &layer.name, share, &label);
    }
    let bottom = TOP + ROW * report.layers.len() as f64 + 6.0;
    for decibels in (0..=60).step_by(10) {
        let x = LEFT + f64::from(decibels) / MOST * (RIGHT - LEFT);
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#ccc\" fill=\"none\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{decibels}</text>",
            bottom + 16.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// A named bar with a label at its end. `share` is its part of the whole length.
fn bar(svg: &mut String, y: f64, name: &str, share: f64, label: &str) {
    let length = share.clamp(0.0, 1.0) * (RIGHT - LEFT);
    let baseline = y + 12.0;
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{baseline:.1}\" text-anchor=\"end\">{name}</text>\
         <rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"{:.1}\" fill=\"#3b6ea5\"/>\
         <text x=\"{:.1}\" y=\"{baseline:.1}\">{label}</text>",
        LEFT - 8.0,
        y + 2.0,
        ROW - 4.0,
        LEFT + length + 5.0
    );
}
