//! Photo -> pixels: decode, resize and crop by the weights' own rule, normalise.

mod decode;
mod resize;

pub use decode::{DecodeLimits, Photo, decode, open};
pub use resize::{CropRounding, Filter, Resize};

use std::path::PathBuf;

use mobilenet_kernels::inference::Normalization;
use serde::{Deserialize, Serialize};

/// A photo that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PhotoError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The bytes are no image of a known format.
    #[error("{name}: not a JPEG, PNG, BMP, WebP or GIF image (it begins with {start})")]
    NotAnImage {
        /// The file.
        name: String,
        /// The first bytes, printable.
        start: String,
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
    /// The image is broken.
    #[error("{name}: {source}")]
    Decode {
        /// The file.
        name: String,
        /// What is wrong with it.
        source: image::ImageError,
    },
    /// A rule that fits no image.
    #[error("cannot preprocess: {0}")]
    Rule(String),
}

/// How the pixels that a network takes are made from a photo. Travels with the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Rows and columns of the result.
    pub size: [usize; 2],
    /// How the photo comes to that size.
    pub resize: Resize,
    /// Subtracted from each channel, in units of full white.
    pub mean: Vec<f32>,
    /// Divides each channel, in units of full white.
    pub std: Vec<f32>,
}

impl Preprocessing {
    /// slim's evaluation rule: central 87.5 %, bilinear, `x / 127.5 - 1`.
    pub fn slim(side: usize) -> Self {
        Self::symmetric(side, Resize::CentralCrop { fraction: 0.875 })
    }

    /// The whole photo, squeezed to the size by Pillow's bilinear filter.
    pub fn plain(side: usize) -> Self {
        let filter = Filter::Bilinear;
        Self::symmetric(side, Resize::Squeeze { filter })
    }

    /// [`Self::plain`], but `x / 255`: pixels between 0 and 1, as people's own Keras code has it.
    pub fn unit(side: usize) -> Self {
        Self {
            mean: vec![0.0; 3],
            std: vec![1.0; 3],
            ..Self::plain(side)
        }
    }

    /// Hugging Face's image processor for Google's weights: short edge to `side + 32`, bilinear,
    /// centre crop.
    pub fn hugging_face(side: usize) -> Self {
        let resize = Resize::ShortestEdge {
            edge: side + 32,
            filter: Filter::Bilinear,
            rounding: CropRounding::Down,
        };
        Self::symmetric(side, resize)
    }

    /// timm's evaluation rule: short edge to `side / fraction`, bicubic, centre crop.
    pub fn timm(side: usize, fraction: f64) -> Self {
        let resize = Resize::ShortestEdge {
            edge: (side as f64 / fraction) as usize,
            filter: Filter::Bicubic,
            rounding: CropRounding::HalfToEven,
        };
        Self::symmetric(side, resize)
    }

    fn symmetric(side: usize, resize: Resize) -> Self {
        Self {
            size: [side, side],
            resize,
            mean: vec![0.5; 3],
            std: vec![0.5; 3],
        }
    }

    /// Number of channels of the result: 3 for RGB, 1 for grey.
    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    /// Pixels of a photo, `[rows, columns, channels]`.
    ///
    /// # Errors
    /// [`PhotoError::Rule`] where the rule itself is impossible.
    pub fn pixels(&self, photo: &Photo) -> Result<Vec<f32>, PhotoError> {
        let channels = self.channels();
        if self.std.len() != channels || self.std.contains(&0.0) {
            let message = format!("mean {:?} does not go with std {:?}", self.mean, self.std);
            return Err(PhotoError::Rule(message));
        }
        let samples = match channels {
            3 => photo.as_raw().clone(),
            1 => image::imageops::grayscale(photo).into_raw(),
            other => {
                let message = format!("a photo has 3 channels or 1, the network takes {other}");
                return Err(PhotoError::Rule(message));
            }
        };
        let [height, width] = [photo.height() as usize, photo.width() as usize];
        let mut pixels = self
            .resize
            .apply(&samples, [height, width, channels], self.size)?;
        for pixel in pixels.chunks_exact_mut(channels) {
            for ((value, mean), std) in pixel.iter_mut().zip(&self.mean).zip(&self.std) {
                *value = (*value - mean) / std;
            }
        }
        Ok(pixels)
    }

    /// The normalisation alone, for frames that have the network's size already.
    pub fn normalization(&self) -> Normalization {
        let pairs = self.mean.iter().zip(&self.std);
        Normalization {
            scale: self.std.iter().map(|std| 1.0 / (255.0 * std)).collect(),
            shift: pairs.map(|(mean, std)| -mean / std).collect(),
        }
    }
}
