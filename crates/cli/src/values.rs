//! What the values of arguments can be.

/// Numbers of threads.
pub fn threads() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=1024)
}

/// Sides of an image.
pub fn side() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=8192)
}

/// A width multiplier.
///
/// # Errors
/// Where the text is none.
pub fn width(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|width| *width > 0.0 && *width <= 16.0)
        .ok_or_else(|| "a width multiplier is greater than 0 and at most 16".to_string())
}

/// A limit of the total stride.
///
/// # Errors
/// Where the text is none.
pub(crate) fn output_stride(text: &str) -> Result<usize, String> {
    match text {
        "8" => Ok(8),
        "16" => Ok(16),
        "32" => Ok(32),
        _ => Err("an output stride is 8, 16 or 32".to_string()),
    }
}

/// A number greater than 0.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|number| *number >= 0.0 && number.is_finite())
        .ok_or_else(|| "a number of at least 0".to_string())
}
