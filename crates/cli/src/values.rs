//! Ranges of argument values, and how they are parsed.

use std::path::PathBuf;

/// Parser of a number of threads, 1 to 1024.
pub fn threads() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=1024)
}

/// Parser of an image's side, 1 to 8192 pixels.
pub fn side() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=8192)
}

/// Parses a width multiplier.
///
/// # Errors
/// If the text is no number above 0 and up to 16.
pub fn width(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|width| *width > 0.0 && *width <= 16.0)
        .ok_or_else(|| "a width multiplier is greater than 0 and at most 16".to_string())
}

/// Parses the name of a file of weights to write.
///
/// # Errors
/// If its ending is of no format that is written.
pub(crate) fn weights_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending {
        Some("safetensors" | "onnx") => Ok(path),
        _ => Err("weights are written as .safetensors or .onnx".to_string()),
    }
}

/// Parses an output stride, the limit of the network's total stride.
///
/// # Errors
/// If the text is not 8, 16 or 32.
pub(crate) fn output_stride(text: &str) -> Result<usize, String> {
    match text {
        "8" => Ok(8),
        "16" => Ok(16),
        "32" => Ok(32),
        _ => Err("an output stride is 8, 16 or 32".to_string()),
    }
}

/// Parses a finite number of at least 0.
pub(crate) fn not_negative(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|number| *number >= 0.0 && number.is_finite())
        .ok_or_else(|| "expected a number of at least 0".to_string())
}
