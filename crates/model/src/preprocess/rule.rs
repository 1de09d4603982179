//! The preprocessing rule of a network, which is stored with the weights.

use std::borrow::Cow;

use mobilenet_kernels::inference::Normalization;
use serde::{Deserialize, Serialize};

use super::encoded::Photo;
use super::error::PhotoError;
use super::jpeg::Reduction;
use super::resize::{CropRounding, Filter, Resize};

/// What a reduced source must have of the result's sides, so that the answers stay those of the
/// whole photo (`tests/reduced_photos.rs`): with twice the sides, probabilities moved by up to 0.07.
const LEAST_EXCESS: usize = 4;

/// Size, crop, filter and normalisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Rows and columns of the network's input.
    pub size: [usize; 2],
    /// How the photo is brought to that size.
    pub resize: Resize,
    /// Subtracted from each channel, where 1 is full white.
    pub mean: Vec<f32>,
    /// Divisor of each channel, where 1 is full white.
    pub std: Vec<f32>,
}

impl Preprocessing {
    /// slim's evaluation rule: central 87.5 %, bilinear, `x / 127.5 - 1`.
    pub fn slim(side: usize) -> Self {
        Self::symmetric(side, Resize::CentralCrop { fraction: 0.875 })
    }

    /// The whole photo, resized by Pillow's bilinear filter.
    pub fn plain(side: usize) -> Self {
        let filter = Filter::Bilinear;
        Self::symmetric(side, Resize::Squeeze { filter })
    }

    /// As [`Self::plain`], but `x / 255`: pixels between 0 and 1, as in much hand-written Keras
    /// code.
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

    /// The same rule for another size (rows, columns): the same part of a photo is kept.
    pub fn with_size(&self, size: [usize; 2]) -> Self {
        let short = |[rows, columns]: [usize; 2]| rows.min(columns);
        let resize = match self.resize {
            Resize::ShortestEdge {
                edge,
                filter,
                rounding,
            } => Resize::ShortestEdge {
                edge: (edge * short(size) / short(self.size).max(1)).max(short(size)),
                filter,
                rounding,
            },
            other => other,
        };
        Self {
            size,
            resize,
            ..self.clone()
        }
    }

    /// Number of channels of the result: 3 for RGB, 1 for grey.
    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    /// The network's input for a photo, `[rows, columns, channels]`.
    ///
    /// # Errors
    /// [`PhotoError::Rule`] if the rule itself is impossible.
    pub fn pixels(&self, photo: &Photo) -> Result<Vec<f32>, PhotoError> {
        let channels = self.channels();
        if self.std.len() != channels || self.std.contains(&0.0) {
            let message = format!("mean {:?} does not go with std {:?}", self.mean, self.std);
            return Err(PhotoError::Rule(message));
        }
        let samples = match channels {
            3 => Cow::Borrowed(photo.as_raw().as_slice()),
            1 => Cow::Owned(image::imageops::grayscale(photo).into_raw()),
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

    /// How far a JPEG of this size (rows, columns, upright) may be reduced while it is decoded, so
    /// that the rule's own filter still has four times its result to work on. Only by what divides its
    /// sides: a last row of half a pixel would shift all the others.
    pub fn reduction(&self, size: [usize; 2]) -> Reduction {
        let Some(resized) = self.resize.resized(size, self.size) else {
            return Reduction::None;
        };
        let enough = |reduction: &Reduction| {
            let divisor = reduction.divisor();
            let mut sides = size.iter().zip(resized);
            sides.all(|(side, resized)| {
                side % divisor == 0 && side / divisor >= LEAST_EXCESS * resized
            })
        };
        let found = Reduction::ALL.into_iter().find(enough);
        found.unwrap_or(Reduction::None)
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
