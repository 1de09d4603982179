//! Errors of decoding and preprocessing a photo.

use std::path::PathBuf;

use super::format::READ;

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
    /// The path is no file: reading it would wait, or never end.
    #[error("{path} is {kind}, not a file")]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// There are no bytes.
    #[error("{name}: the file is empty")]
    Empty {
        /// The file.
        name: String,
    },
    /// The bytes are no image of a known format.
    #[error("{name}: not a JPEG, PNG, BMP, WebP, GIF, TIFF or PNM image (it begins with {start})")]
    NotAnImage {
        /// The file.
        name: String,
        /// The first bytes, printable.
        start: String,
    },
    /// The bytes are of a format that is known but not read.
    #[error("{name}: {format} is not read; {READ} are")]
    Unread {
        /// The file.
        name: String,
        /// Its format.
        format: &'static str,
    },
    /// Decoding it would need more memory than allowed.
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
    /// The end of the file is missing.
    #[error("{name}: the file is cut off, a part of the photo is missing")]
    CutOff {
        /// The file.
        name: String,
    },
    /// The image is broken.
    #[error("{name}: {}", source.to_string().trim_end())]
    Decode {
        /// The file.
        name: String,
        /// The cause.
        source: image::ImageError,
    },
    /// The rule does not fit this photo.
    #[error("{name}: {problem}")]
    Unfit {
        /// The file.
        name: String,
        /// Why not.
        problem: String,
    },
    /// A rule that fits no image.
    #[error("cannot preprocess: {0}")]
    Rule(String),
}

impl PhotoError {
    /// The same of a named photo, where the error does not say which.
    #[must_use]
    pub fn of_photo(self, name: impl Into<String>) -> Self {
        match self {
            Self::Rule(problem) => Self::Unfit {
                name: name.into(),
                problem,
            },
            named => named,
        }
    }
}
