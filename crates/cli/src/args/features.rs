//! Arguments of `features`, `search`, `duplicates` and `knn`.

use std::path::{Path, PathBuf};

use clap::Args;
use mobilenet::features::ENDINGS;
use mobilenet::hub::DEFAULT_WEIGHTS;

use super::preprocess::FeaturePreprocess;
use crate::values::{threads, with_parquet};

/// Arguments of `features`.
#[derive(Debug, Args)]
pub struct Features {
    /// Photos, and folders of photos with their folders
    #[arg(required = true, value_name = "PHOTO|DIR")]
    pub(crate) photos: Vec<PathBuf>,
    /// File to write: .npy, an array with a row per photo, with the photos' names in .txt beside
    /// it; .jsonl, a line per photo; or .parquet, if the program was built with that feature
    #[arg(short, long, value_name = "OUT.npy|OUT.jsonl|OUT.parquet", value_parser = features_file)]
    pub(crate) output: PathBuf,
    /// Weights
    #[arg(short, long, value_name = "W", default_value = DEFAULT_WEIGHTS)]
    pub(crate) weights: String,
    #[command(flatten)]
    pub(crate) preprocess: FeaturePreprocess,
    /// Number of threads [default: all cores]
    #[arg(short, long, value_name = "N", value_parser = threads())]
    pub(crate) threads: Option<u64>,
}

/// Arguments of `search`.
#[derive(Debug, Args)]
pub struct Search {
    /// Photo whose like is wanted
    #[arg(value_name = "QUERY")]
    pub(crate) query: PathBuf,
    /// Folder of photos, or a file that `features` wrote with the same weights
    #[arg(value_name = "DIR|FEATURES")]
    pub(crate) among: PathBuf,
    /// Number of photos to show
    #[arg(short = 'k', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) top: u64,
    /// Weights
    #[arg(short, long, value_name = "W", default_value = DEFAULT_WEIGHTS)]
    pub(crate) weights: String,
    #[command(flatten)]
    pub(crate) preprocess: FeaturePreprocess,
    /// Number of threads [default: all cores]
    #[arg(short, long, value_name = "N", value_parser = threads())]
    pub(crate) threads: Option<u64>,
    /// Print one JSON object per photo
    #[arg(short, long)]
    pub(crate) json: bool,
}

/// Arguments of `duplicates`.
#[derive(Debug, Args)]
pub struct Duplicates {
    /// Folders of photos, and photos
    #[arg(required = true, value_name = "DIR")]
    pub(crate) photos: Vec<PathBuf>,
    /// Find photos whose features have at least this cosine, for example 0.95, instead of photos
    /// that are the same: equal, or stored again in another quality or size. Finds crops and similar
    /// scenes, too, and compares each photo with each
    #[arg(long, value_name = "COSINE", value_parser = cosine, allow_negative_numbers = true)]
    pub(crate) threshold: Option<f32>,
    /// Weights for --threshold
    #[arg(short, long, value_name = "W", default_value = DEFAULT_WEIGHTS)]
    pub(crate) weights: String,
    #[command(flatten)]
    pub(crate) preprocess: FeaturePreprocess,
    /// Number of threads [default: all cores]
    #[arg(short, long, value_name = "N", value_parser = threads())]
    pub(crate) threads: Option<u64>,
    /// Print one JSON object per group
    #[arg(short, long)]
    pub(crate) json: bool,
}

/// Arguments of `knn`.
#[derive(Debug, Args)]
pub struct Knn {
    /// Folder with one folder of photos per class
    #[arg(value_name = "TRAIN")]
    pub(crate) train: PathBuf,
    /// Such a folder of photos to name [default: the test part of TRAIN, as for `train`]
    #[arg(value_name = "TEST")]
    pub(crate) test: Option<PathBuf>,
    /// Number of neighbours that vote
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub(crate) k: u64,
    /// Weights
    #[arg(short, long, value_name = "W", default_value = DEFAULT_WEIGHTS)]
    pub(crate) weights: String,
    #[command(flatten)]
    pub(crate) preprocess: FeaturePreprocess,
    /// Number of threads [default: all cores]
    #[arg(short, long, value_name = "N", value_parser = threads())]
    pub(crate) threads: Option<u64>,
    /// Print one JSON object
    #[arg(short, long)]
    pub(crate) json: bool,
}

fn features_file(text: &str) -> Result<PathBuf, String> {
    let ending = Path::new(text)
        .extension()
        .and_then(|ending| ending.to_str());
    match ending {
        Some(ending) if ENDINGS.contains(&ending) => Ok(PathBuf::from(text)),
        Some("parquet") => with_parquet(text),
        _ => Err("features are written as .npy, .jsonl or .parquet; the name must end so".into()),
    }
}

fn cosine(text: &str) -> Result<f32, String> {
    let number = text.parse::<f32>().ok();
    number
        .filter(|number| (-1.0..=1.0).contains(number))
        .ok_or_else(|| "a cosine is a number from -1 to 1".to_string())
}
