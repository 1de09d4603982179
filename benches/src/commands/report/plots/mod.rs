//! Draws the plots of the report as SVG, from the stored results alone.

mod accuracy;
mod axis;
mod canvas;
mod labels;
mod latency;
mod roofline;
pub(in crate::commands) mod scatter;

use super::results::{Results, Scenario};

pub(super) use self::accuracy::accuracy;

/// All plots: file names and contents.
pub(super) fn all(results: &Results) -> Vec<(String, String)> {
    let mut plots = Vec::new();
    for scenario in results.scenarios() {
        if let Some(name) = latency_name(scenario) {
            plots.push((name, latency::plot(results, scenario)));
        }
    }
    for network in results.networks() {
        plots.push((roofline_name(network), roofline::plot(results, network)));
    }
    if !results.sizes.is_empty() {
        plots.push(("accuracy.svg".to_string(), accuracy::plot(results)));
    }
    plots
}

/// File of a scenario's bars. Only those of single images are drawn.
pub(super) fn latency_name(scenario: Scenario) -> Option<String> {
    let Scenario {
        width,
        resolution,
        batch,
        threads,
    } = scenario;
    let threads = match threads {
        1 => String::new(),
        _ => format!("_{threads}_threads"),
    };
    (batch == 1).then(|| format!("latency_{width}_{resolution}{threads}.svg"))
}

pub(super) fn roofline_name((width, resolution): (f64, usize)) -> String {
    format!("roofline_{width}_{resolution}.svg")
}
