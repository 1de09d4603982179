//! MobileNetV1: a photo in, names out.
//!
#![cfg_attr(feature = "hub", doc = "```no_run")]
#![cfg_attr(not(feature = "hub"), doc = "```ignore")]
//! use mobilenet::{Classifier, open_photo};
//!
//! // Google's ImageNet weights, fetched on first use and kept in the user's cache.
//! let classifier = Classifier::new("mobilenet_v1_1.0_224")?;
//! let photo = open_photo("cat.jpg")?;
//! for prediction in classifier.classify(&photo, 5)? {
//!     println!("{:.3} {}", prediction.probability, prediction.label.unwrap_or_default());
//! }
//! # Ok::<(), mobilenet::Error>(())
//! ```
//!
//! The crates below this one can be used alone. [`kernels`] (CPU kernels on slices) and [`model`]
//! (network, checkpoints, preprocessing) are always there. The others are features, all on by
//! default: `candle` (`ops`, candle's functions and layers), `train`, `hub` (weights by name), and
//! `detect` ([`Detector`]: objects and their boxes).
//! [`features`] tells which photos are alike. Without default features the crate has what a device needs: no candle, no network access, no
//! training.

mod classifier;
#[cfg(feature = "detect")]
mod detector;
#[cfg(feature = "candle")]
mod eager;
mod error;
pub mod features;
#[cfg(feature = "parquet")]
pub mod parquet;
mod photos;
mod pool;

pub use classifier::{Classifier, Engine};
#[cfg(feature = "detect")]
pub use detector::{DetectFiles, DetectedObject, Detections, Detector, DetectorOptions};
pub use error::Error;
#[cfg(feature = "compress")]
pub use mobilenet_compress as compress;
#[cfg(feature = "detect")]
pub use mobilenet_detect as detect;
#[cfg(feature = "hub")]
pub use mobilenet_hub as hub;
pub use mobilenet_kernels as kernels;
pub use mobilenet_model as model;
pub use mobilenet_model::Prediction;
pub use mobilenet_model::explain::{ActivationMap, ExplainError, Explainer};
pub use mobilenet_model::preprocess::{Photo, Views};
#[cfg(feature = "candle")]
pub use mobilenet_ops as ops;
#[cfg(feature = "train")]
pub use mobilenet_train as train;
pub use photos::{Answer, ClassifyFiles, FileAnswer, FileAnswers, PhotoOptions, PhotoSource};

use mobilenet_model::preprocess::{DecodeLimits, open};

/// Reads a photo from a JPEG, PNG, BMP, WebP, GIF, TIFF or PNM file: 8-bit RGB, turned upright by its EXIF
/// orientation.
///
/// # Errors
/// [`Error::Photo`] if the file cannot be read, is no image, or exceeds the default
/// [`DecodeLimits`].
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("notes.jpg");
/// std::fs::write(&path, "no photo at all")?;
/// let error = mobilenet::open_photo(&path).unwrap_err();
/// assert!(error.to_string().contains("notes.jpg: not a JPEG"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn open_photo(path: impl AsRef<std::path::Path>) -> Result<Photo, Error> {
    Ok(open(path.as_ref(), DecodeLimits::default())?)
}
