//! MobileNetV1: a photo in, names out.
//!
//! ```no_run
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
//! The crates below it can be used alone: [`kernels`] (slices), [`ops`] (candle functions and
//! layers), [`model`] (network, checkpoints, preprocessing), [`train`], [`hub`] (weights by name).

mod classifier;

pub use classifier::{Classifier, Engine, Error};
pub use mobilenet_hub as hub;
pub use mobilenet_kernels as kernels;
pub use mobilenet_model as model;
pub use mobilenet_model::Prediction;
pub use mobilenet_model::preprocess::Photo;
pub use mobilenet_ops as ops;
pub use mobilenet_train as train;

use mobilenet_model::preprocess::{DecodeLimits, open};

/// Reads a photo: JPEG, PNG, BMP, WebP or GIF, turned upright, as RGB.
///
/// # Errors
/// Where the file cannot be read, is no image, or is larger than [`DecodeLimits`] allows by
/// default.
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

/// The README's examples, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
