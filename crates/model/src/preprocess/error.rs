//! Errors of decoding and preprocessing a photo.

use std::path::PathBuf;

/// A photo that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PhotoError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The bytes are not an image of a known format.
    #[error("{name}: not a JPEG, PNG, BMP, WebP or GIF image (it begins with {start})")]
    NotAnImage {
        /// The file.
        name: String,
        /// The first bytes, printable.
        start: String,
    },
    /// Decoding would need more memory than allowed.
    #[error("{name}: {width}x{height} pixels need {needed} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The file.
        name: String,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes that the decoded image takes.
        needed: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// The image is broken.
    #[error("{name}: {source}")]
    Decode {
        /// The file.
        name: String,
        /// The cause.
        source: image::ImageError,
    },
    /// The preprocessing rule is impossible.
    #[error("cannot preprocess: {0}")]
    Rule(String),
}
