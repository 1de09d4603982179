//! Arguments of `convert` that make the file small, and the names of the methods.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mobilenet::compress::codes::Method;

/// What the weights of a layer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MethodName {
    /// One of 16 values that the layer shares
    Palette4,
    /// One of 64 values that the layer shares
    Palette6,
    /// Integers of 4 bits, with a scale for each output channel
    Int4,
    /// Integers of 8 bits, with a scale for each output channel
    Int8,
}

impl From<MethodName> for Method {
    fn from(name: MethodName) -> Self {
        match name {
            MethodName::Palette4 => Self::Palette(4),
            MethodName::Palette6 => Self::Palette(6),
            MethodName::Int4 => Self::Integers(4),
            MethodName::Int8 => Self::Integers(8),
        }
    }
}

/// How the weights of a file are compressed.
#[derive(Debug, Args)]
#[command(next_help_heading = "A smaller file")]
pub struct Compress {
    /// Round weights to few values and store their symbols deflated. Batch norm is folded. Every
    /// command reads the file
    #[arg(long, value_enum, value_name = "METHOD", conflicts_with_all = ["to", "dtype"])]
    compress: Option<MethodName>,
    /// With int8 or int4: bits that a weight takes in the file, on average [default: what the whole
    /// range of the integers takes]
    #[arg(long, value_name = "1.0..8.0", requires = "compress", value_parser = bits)]
    pub(crate) bits: Option<f64>,
    /// Folder of photos like those that the network will see, on which errors of weights are made to
    /// cancel. A fifth is held back to compare the answers
    #[arg(long, value_name = "DIR", requires = "compress")]
    pub(crate) calibration: Option<PathBuf>,
    /// Most photos to calibrate with; each takes 6 MB of memory at 1.0/224
    #[arg(long, value_name = "N", default_value_t = 64, requires = "calibration", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) photos: u64,
    /// Folder of photos to compare the answers on
    #[arg(long, value_name = "DIR", requires = "compress")]
    pub(crate) test: Option<PathBuf>,
}

impl Compress {
    /// The method, if the file is to be compressed.
    pub(crate) fn method(&self) -> Option<Method> {
        self.compress.map(Method::from)
    }
}

pub(super) fn bits(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(bits) if (1.0..=8.0).contains(&bits) => Ok(bits),
        _ => Err("expected a number from 1 to 8".to_string()),
    }
}
