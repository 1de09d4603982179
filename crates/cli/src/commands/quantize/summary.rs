//! What `quantize` reports.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::output;

/// What is known of a quantised network.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) output: String,
    pub(super) scheme: &'static str,
    pub(super) weight_bits: u32,
    pub(super) calibration_photos: usize,
    /// Photos that were not used for calibration.
    pub(super) test_photos: u64,
    /// Of them, those of which both networks name the same class.
    pub(super) same_class: u64,
    pub(super) agreement: Option<f64>,
    pub(super) layers: Vec<LayerLine>,
}

/// `null` stands for a layer without signal or without noise.
#[derive(Serialize)]
pub(super) struct LayerLine {
    pub(super) name: String,
    pub(super) decibels: Option<f64>,
}

pub(super) fn print(report: &Report, path: &Path) -> Result<()> {
    output::line("layer                     signal to noise")?;
    for layer in &report.layers {
        let decibels = match layer.decibels {
            Some(decibels) => format!("{decibels:.1} dB"),
            None => "-".to_string(),
        };
        output::line(format!("{:25} {decibels:>15}", layer.name))?;
    }
    let others = match report.agreement {
        Some(agreement) => format!(
            "the same class as the float network on {} of {} other photos ({:.1} %)",
            report.same_class,
            report.test_photos,
            100.0 * agreement
        ),
        None => "no classes to compare".to_string(),
    };
    output::line(format!(
        "{}, {} bits, calibrated with {} photos: {others}",
        report.scheme, report.weight_bits, report.calibration_photos
    ))?;
    let bytes = std::fs::metadata(path)?.len();
    output::line(format!("written: {} ({bytes} bytes)", report.output))
}
