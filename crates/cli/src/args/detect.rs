//! Arguments of `detect`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::engine::Precision;
use crate::values::{share, threads};

/// Arguments of `detect`.
#[derive(Debug, Args)]
pub struct Detect {
    /// Photos (JPEG, PNG, BMP, WebP, GIF, TIFF, PNM); folders, of which all photos below are taken,
    /// but no hidden ones; - for a list of paths on standard input, one per line
    #[arg(required = true, value_name = "PHOTO|DIR|-")]
    pub(crate) photos: Vec<PathBuf>,
    /// Detector: a TFLite file that ends in TFLite_Detection_PostProcess, a file or folder with the
    /// variables of an SSD of TensorFlow's Object Detection API, or face-api's manifest; or a name that
    /// `weights` lists
    #[arg(short, long, value_name = "W")]
    pub(crate) weights: String,
    /// Leave out objects with a lower score
    #[arg(long, value_name = "SCORE", default_value_t = 0.5, value_parser = share)]
    pub(crate) threshold: f64,
    /// Most objects of a photo [default: as the file says]
    #[arg(short = 'k', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) top: Option<u32>,
    /// Which of the boxes that overlap stay [default: as the file says]
    #[arg(long, value_enum, value_name = "RULE")]
    pub(crate) suppression: Option<SuppressionRule>,
    /// Write each photo with boxes, names and scores into this folder, as PNG
    #[arg(long, value_name = "DIR")]
    pub(crate) draw: Option<PathBuf>,
    /// Number type of the computation of a quantised file: int8, its own integers, or f32, the numbers
    /// that they mean
    #[arg(long, value_enum, default_value_t = Precision::Int8, hide_possible_values = true)]
    pub(crate) precision: Precision,
    /// Number of threads [default: all cores]
    #[arg(short, long, value_name = "N", value_parser = threads())]
    pub(crate) threads: Option<u64>,
    /// Decode every pixel of large JPEGs, rather than a reduced photo
    #[arg(long)]
    pub(crate) exact: bool,
    /// Use what is there of photos that are cut off or broken
    #[arg(long)]
    pub(crate) lenient: bool,
    /// Print one JSON object per photo
    #[arg(short, long)]
    pub(crate) json: bool,
}

/// Which of the boxes that overlap stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SuppressionRule {
    /// The best of all classes together: TFLite's fast rule
    BestClass,
    /// The best of each class: TFLite's regular rule
    PerClass,
    /// Of each class, but the others only lose score
    Soft,
}
