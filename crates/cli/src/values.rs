//! Ranges of argument values, and how they are parsed.

use std::fmt;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use mobilenet::model::Structure;
use serde::{Serialize, Serializer};

use crate::manifest::Part;

/// Parser of a number of threads, 1 to 1024.
pub fn threads() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=1024)
}

/// Parser of an image's side, 1 to 8192 pixels.
pub fn side() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=8192)
}

/// Rows and columns of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub [usize; 2]);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [rows, columns] if rows == columns => write!(f, "{rows}"),
            [rows, columns] => write!(f, "{rows}x{columns}"),
        }
    }
}

impl Serialize for Size {
    /// A square as its side, as a number.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [rows, columns] if rows == columns => serializer.serialize_u64(rows as u64),
            _ => serializer.collect_str(self),
        }
    }
}

/// How many numbers an embedding has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EmbeddingWidth {
    /// Those of a last layer.
    Numbers(usize),
    /// As many as there are pooled features: there is no last layer.
    Features,
}

/// Parses 1 to 65536, or `none`.
pub(crate) fn embedding_width(text: &str) -> Result<EmbeddingWidth, String> {
    match (text, text.parse()) {
        ("none", _) => Ok(EmbeddingWidth::Features),
        (_, Ok(numbers @ 1..=65536)) => Ok(EmbeddingWidth::Numbers(numbers)),
        _ => Err("expected a number from 1 to 65536, or none".to_string()),
    }
}

/// Parses an image's side, or `ROWSxCOLUMNS`; each 1 to 8192 pixels.
///
/// # Errors
/// If the text is neither.
pub(crate) fn size(text: &str) -> Result<Size, String> {
    let side = |text: &str| {
        let side = text.parse().ok();
        side.filter(|side| (1..=8192).contains(side))
    };
    let sides = match text.split_once('x') {
        Some((rows, columns)) => side(rows).zip(side(columns)),
        None => side(text).map(|side| (side, side)),
    };
    sides
        .map(|(rows, columns)| Size([rows, columns]))
        .ok_or_else(|| "a size is a side or ROWSxCOLUMNS, each 1 to 8192".to_string())
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

/// Parser of a network's name.
pub(crate) fn structure() -> impl TypedValueParser<Value = Structure> {
    let words = Structure::ALL.map(|structure| {
        let help = match structure {
            Structure::MobileNet => "MobileNetV1",
            Structure::Shallow => "Five layers of 512 channels fewer (table 5)",
            Structure::Conv => "Full 3x3 convolutions in place of separable ones (table 4)",
        };
        PossibleValue::new(structure.name()).help(help)
    });
    let named = |word: String| Structure::ALL.into_iter().find(|one| one.name() == word);
    PossibleValuesParser::new(words).try_map(move |word| named(word).ok_or("no such network"))
}

/// Parses the name of a file of weights to write.
///
/// # Errors
/// If its ending is of no format that is written.
pub(crate) fn weights_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending {
        Some("safetensors" | "onnx" | "tflite") => Ok(path),
        _ => Err("weights are written as .safetensors, .onnx or .tflite".to_string()),
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

/// Parses a number greater than 0.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    not_negative(text)
        .ok()
        .filter(|number| *number > 0.0)
        .ok_or_else(|| "expected a number greater than 0".to_string())
}

/// Parses a number from 0 to 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|number| (0.0..=1.0).contains(number))
        .ok_or_else(|| "expected a number from 0 to 1".to_string())
}

/// Parses `I/N`, the part I, from 0, of N.
pub(crate) fn part(text: &str) -> Result<Part, String> {
    let numbers = text.split_once('/');
    let numbers =
        numbers.and_then(|(number, parts)| Some((number.parse().ok()?, parts.parse().ok()?)));
    match numbers {
        Some((number, parts)) if number < parts => Ok(Part { number, parts }),
        _ => Err("a part is I/N, with I from 0 to N - 1".to_string()),
    }
}

/// Parses the path of a file of answers, whose ending says what is written.
pub(crate) fn answers_file(text: &str) -> Result<std::path::PathBuf, String> {
    let path = std::path::PathBuf::from(text);
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("csv" | "jsonl") => Ok(path),
        Some("parquet") => with_parquet(text),
        _ => Err("the name must end in .csv, .jsonl or .parquet".to_string()),
    }
}

/// The name of a Parquet file, for programs that can write one.
pub(crate) fn with_parquet(text: &str) -> Result<std::path::PathBuf, String> {
    match cfg!(feature = "parquet") {
        true => Ok(text.into()),
        false => Err("this program was built without the feature parquet: \
                      `cargo install --path crates/cli --features parquet`"
            .to_string()),
    }
}
