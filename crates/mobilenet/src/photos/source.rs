//! Where a photo is: in a file, or in memory.

use std::path::{Path, PathBuf};

use mobilenet_model::preprocess::{DecodeLimits, EncodedPhoto, PhotoError};

/// A photo that is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhotoSource {
    name: PathBuf,
    bytes: Option<Vec<u8>>,
}

impl PhotoSource {
    /// A photo file.
    pub fn file(path: PathBuf) -> Self {
        Self {
            name: path,
            bytes: None,
        }
    }

    /// The bytes of a photo file, and a name for answers and messages.
    pub fn bytes(name: PathBuf, bytes: Vec<u8>) -> Self {
        Self {
            name,
            bytes: Some(bytes),
        }
    }

    /// Its path or name.
    pub fn name(&self) -> &Path {
        &self.name
    }

    pub(crate) fn into_name(self) -> PathBuf {
        self.name
    }

    /// Reads its header.
    pub(super) fn open(&self, limits: DecodeLimits) -> Result<EncodedPhoto<'_>, PhotoError> {
        let Some(bytes) = &self.bytes else {
            return EncodedPhoto::open(&self.name, limits);
        };
        if bytes.len() as u64 > limits.file_bytes {
            let limit = limits.file_bytes;
            let problem = format!("the photo is larger than the limit of {limit} bytes");
            return Err(PhotoError::Read {
                path: self.name.clone(),
                source: std::io::Error::other(problem),
            });
        }
        EncodedPhoto::new(&self.name.display().to_string(), &bytes[..])
    }
}
