//! Draws the plots of the report as SVG.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::results::{Results, Scenario};

const OURS: RGBColor = RGBColor(196, 78, 36);
const OTHERS: RGBColor = RGBColor(96, 120, 144);
const FONT: (&str, u32) = ("sans-serif", 15);

/// Top-1 accuracy of Google's released weights (TF-slim's mobilenet_v1.md).
const ACCURACIES: [(f64, [f64; 4]); 4] = [
    (1.0, [70.9, 70.0, 68.0, 65.2]),
    (0.75, [68.4, 67.2, 65.3, 62.1]),
    (0.5, [63.3, 61.7, 59.1, 56.3]),
    (0.25, [49.8, 47.7, 45.5, 41.5]),
];

pub(super) fn accuracy(width: f64, resolution: usize) -> Option<f64> {
    let (_, row) = ACCURACIES.iter().find(|(of, _)| *of == width)?;
    let column = [224, 192, 160, 128]
        .iter()
        .position(|&side| side == resolution)?;
    Some(row[column])
}

pub(super) fn bars_name(scenario: Scenario) -> String {
    format!("latency_{}_{}.svg", scenario.width, scenario.resolution)
}

pub(super) fn roofline_name((width, resolution): (f64, usize)) -> String {
    format!("roofline_{width}_{resolution}.svg")
}

/// All plots: file names and contents.
pub(super) fn all(results: &Results) -> Result<Vec<(String, String)>> {
    let mut plots = Vec::new();
    for scenario in results.scenarios() {
        if scenario.batch == 1 && scenario.threads == 1 {
            plots.push((bars_name(scenario), bars(results, scenario)?));
        }
    }
    for network in results.networks() {
        plots.push((roofline_name(network), roofline(results, network)?));
    }
    plots.push(("accuracy.svg".to_string(), latency_and_accuracy(results)?));
    Ok(plots)
}

/// Converts plotters' errors, which borrow the drawing area.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

/// One bar per engine, fastest first. A bar that does not fit is cut off and labelled.
fn bars(results: &Results, scenario: Scenario) -> Result<String> {
    let found = results.of(scenario);
    let longest = found
        .get(found.len().saturating_sub(2))
        .map_or(1.0, |m| m.median_ms)
        * 1.15;
    let mut svg = String::new();
    {
        let height = 90 + 34 * found.len() as u32;
        let area = SVGBackend::with_string(&mut svg, (760, height)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(
                format!("{scenario}: milliseconds, shorter is better"),
                ("sans-serif", 18),
            )
            .margin(12)
            .set_label_area_size(LabelAreaPosition::Bottom, 30)
            .build_cartesian_2d(-0.22 * longest..longest * 1.2, 0.0..found.len() as f64)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .x_labels(8)
            .x_label_formatter(&|x| {
                if *x < 0.0 {
                    String::new()
                } else {
                    format!("{x:.2}")
                }
            })
            .label_style(FONT)
            .draw()
            .map_err(failed)?;
        for (index, measurement) in found.iter().enumerate() {
            let top = (found.len() - index) as f64;
            let colour = if ["plan", "eager"].contains(&measurement.engine.as_str()) {
                OURS
            } else {
                OTHERS
            };
            let length = measurement.min_ms.min(longest);
            let bar = Rectangle::new([(0.0, top - 0.85), (length, top - 0.2)], colour.filled());
            let name = Text::new(
                measurement.engine.clone(),
                (-0.2 * longest, top - 0.42),
                FONT,
            );
            let cut = if measurement.min_ms > longest {
                " (cut)"
            } else {
                ""
            };
            let label = Text::new(
                format!("{:.2}{cut}", measurement.min_ms),
                (length + 0.01 * longest, top - 0.42),
                FONT,
            );
            chart.draw_series([bar]).map_err(failed)?;
            chart.draw_series([name, label]).map_err(failed)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// GFLOP/s over operations per byte, below the measured peak.
fn roofline(results: &Results, network: (f64, usize)) -> Result<String> {
    let peak = results.machine.peak_gflops;
    let points: Vec<(f64, f64, &str)> = results
        .steps(network)
        .map(|layer| {
            let flops = 2.0 * layer.multiply_adds as f64;
            (
                flops / layer.bytes as f64,
                flops / layer.min_ms / 1e6,
                layer.name.as_str(),
            )
        })
        .collect();
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (760, 460)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(
                format!(
                    "Steps of the plan at {}/{}, one thread",
                    network.0, network.1
                ),
                ("sans-serif", 18),
            )
            .margin(12)
            .set_label_area_size(LabelAreaPosition::Bottom, 44)
            .set_label_area_size(LabelAreaPosition::Left, 60)
            .build_cartesian_2d((2.0..128.0f64).log_scale(), 0.0..peak * 1.1)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc("floating-point operations a byte of input, output and weights")
            .y_desc("GFLOP/s")
            .label_style(FONT)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.0}"))
            .draw()
            .map_err(failed)?;
        let line = LineSeries::new([(2.0, peak), (128.0, peak)], OTHERS.stroke_width(2));
        chart.draw_series(line).map_err(failed)?;
        let label = Text::new(
            format!("multiply-add peak {peak:.0}"),
            (2.2, peak * 1.05),
            FONT,
        );
        chart.draw_series([label]).map_err(failed)?;
        let dots = points
            .iter()
            .map(|&(x, y, _)| Circle::new((x, y), 4, OURS.filled()));
        chart.draw_series(dots).map_err(failed)?;
        // Labels alternate sides, because blocks 7 to 11 have the same shape and nearly
        // coincide.
        let mut seen: Vec<(f64, f64)> = Vec::new();
        for &(x, y, name) in &points {
            if seen
                .iter()
                .any(|&(a, b)| (a / x - 1.0).abs() < 0.02 && (b - y).abs() < 0.04 * peak)
            {
                continue;
            }
            seen.push((x, y));
            let label = Text::new(
                name.replace("Conv2d_", ""),
                (x * 1.03, y - 0.03 * peak),
                FONT,
            );
            chart.draw_series([label]).map_err(failed)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// One point per published size.
fn latency_and_accuracy(results: &Results) -> Result<String> {
    let slowest = results
        .sizes
        .iter()
        .map(|size| size.min_ms)
        .fold(0.0, f64::max);
    let fastest = results
        .sizes
        .iter()
        .map(|size| size.min_ms)
        .fold(f64::INFINITY, f64::min);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (760, 460)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(
                "Top-1 accuracy against latency of the plan, one thread",
                ("sans-serif", 18),
            )
            .margin(12)
            .set_label_area_size(LabelAreaPosition::Bottom, 44)
            .set_label_area_size(LabelAreaPosition::Left, 60)
            .build_cartesian_2d((fastest * 0.8..slowest * 1.4).log_scale(), 38.0..74.0)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc("milliseconds an image")
            .y_desc("top-1 accuracy, %")
            .label_style(FONT)
            .x_label_formatter(&|x| format!("{x:.1}"))
            .draw()
            .map_err(failed)?;
        for (width, _) in ACCURACIES {
            let line: Vec<(f64, f64, usize)> = results
                .sizes
                .iter()
                .filter(|size| size.width == width)
                .filter_map(|size| {
                    Some((
                        size.min_ms,
                        accuracy(size.width, size.resolution)?,
                        size.resolution,
                    ))
                })
                .collect();
            let path = line.iter().map(|&(x, y, _)| (x, y));
            chart
                .draw_series(LineSeries::new(path, OTHERS.stroke_width(2)))
                .map_err(failed)?;
            for &(x, y, resolution) in &line {
                chart
                    .draw_series([Circle::new((x, y), 4, OURS.filled())])
                    .map_err(failed)?;
                let label = Text::new(format!("{width}/{resolution}"), (x * 1.03, y - 0.4), FONT);
                chart.draw_series([label]).map_err(failed)?;
            }
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}
