//! The preprocessing rule of a network, which is stored with the weights.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::encoded::Photo;
use super::error::PhotoError;
use super::jpeg::Reduction;
use super::resize::{CropRounding, Filter, Resize};
use super::views::Views;

/// What a reduced source must have of the result's sides, so that the answers stay those of the
/// whole photo (`crates/model/tests/networks/reduced_photos.rs`): with twice the sides, probabilities
/// moved by up to 0.07.
const LEAST_EXCESS: usize = 4;

/// Size, crop, filter and normalisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Rows and columns of the network's input.
    pub size: [usize; 2],
    /// How the photo is brought to that size.
    pub resize: Resize,
    /// How many views of the photo are averaged.
    #[serde(default, skip_serializing_if = "Views::is_one")]
    pub views: Views,
    /// Subtracted from each channel, in units of full white.
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
            views: Views::One,
            mean: vec![0.5; 3],
            std: vec![0.5; 3],
        }
    }

    /// The smallest and the largest number of a pixel of any channel, or 0 beyond these.
    pub fn range(&self) -> [f32; 2] {
        let channels = self.mean.iter().zip(&self.std);
        let ends = channels.flat_map(|(mean, std)| [-mean / std, (1.0 - mean) / std]);
        ends.fold([0.0; 2], |[least, most], end| {
            [least.min(end), most.max(end)]
        })
    }

    /// Number of channels of the result: 3 for RGB, 1 for grey.
    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    /// The rule for another size (rows, columns): lengths in pixels change in proportion, so that
    /// the same part of a photo is kept.
    #[must_use]
    pub fn at_size(mut self, size: [usize; 2]) -> Self {
        if let Resize::ShortestEdge { edge, .. } = &mut self.resize {
            let [old, new] = [self.size, size].map(|[rows, columns]| rows.min(columns));
            *edge = (*edge * new / old.max(1)).max(new);
        }
        self.size = size;
        self
    }

    /// Pixels of a photo, `[rows, columns, channels]`: one view, by the resize rule.
    ///
    /// # Errors
    /// [`PhotoError::Rule`] if the rule itself is impossible.
    pub fn pixels(&self, photo: &Photo) -> Result<Vec<f32>, PhotoError> {
        self.normalized(photo, |samples, shape| {
            self.resize.apply(samples, shape, self.size)
        })
    }

    /// Pixels of all views of a photo, one after another, each as in [`Self::pixels`].
    ///
    /// # Errors
    /// As [`Self::pixels`].
    pub fn views(&self, photo: &Photo) -> Result<Vec<f32>, PhotoError> {
        let squeeze = Resize::Squeeze {
            filter: Filter::Bilinear,
        };
        let crop = self.crop();
        self.normalized(photo, |samples, shape| match self.views {
            Views::One => self.resize.apply(samples, shape, self.size),
            Views::Two => {
                let mut both = squeeze.apply(samples, shape, self.size)?;
                both.extend(crop.apply(samples, shape, self.size)?);
                Ok(both)
            }
            Views::Ten => crop.ten_crops(samples, shape, self.size),
        })
    }

    /// The resize rule where it crops a photo that keeps its shape, or else timm's: the views of a
    /// rule that squeezes would all be the same.
    fn crop(&self) -> Resize {
        match self.resize {
            Resize::ShortestEdge { .. } => self.resize,
            Resize::CentralCrop { .. } | Resize::Squeeze { .. } | Resize::LongestEdge { .. } => {
                let side = self.size[0].min(self.size[1]);
                Self::timm(side, 0.875).resize
            }
        }
    }

    /// What `resize` makes of a photo of `[height, width, channels]`, normalised.
    fn normalized(
        &self,
        photo: &Photo,
        resize: impl FnOnce(&[u8], [usize; 3]) -> Result<Vec<f32>, PhotoError>,
    ) -> Result<Vec<f32>, PhotoError> {
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
        let mut pixels = resize(&samples, [height, width, channels])?;
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
        let resize = match self.views {
            Views::One => self.resize,
            // The squeezed view is never larger.
            Views::Two | Views::Ten => self.crop(),
        };
        let Some(resized) = resize.resized(size, self.size) else {
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
}
