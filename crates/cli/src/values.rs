//! Ranges of argument values, and how they are parsed.

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

/// Parses a number from 0 to 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|number| (0.0..=1.0).contains(number))
        .ok_or_else(|| "expected a number from 0 to 1".to_string())
}

/// Parses the path of a file of answers, whose ending says what is written.
pub(crate) fn answers_file(text: &str) -> Result<std::path::PathBuf, String> {
    let path = std::path::PathBuf::from(text);
    let known = |ending: &std::ffi::OsStr| ending == "csv" || ending == "jsonl";
    if path.extension().is_some_and(known) {
        Ok(path)
    } else {
        Err("the name must end in .csv or .jsonl".to_string())
    }
}
