//! Normalisation of pixels for the network: the mean is subtracted, then the result is divided by
//! the standard deviation.

use mobilenet_photos::Preprocessing;
use serde::{Deserialize, Serialize};

/// Mean and standard deviation of each channel, where 1 is full white.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanStd {
    /// Subtracted from each channel.
    pub mean: [f32; 3],
    /// Divisor of each channel.
    pub std: [f32; 3],
}

impl Default for MeanStd {
    /// slim's, `x / 127.5 - 1` of 8 bits.
    fn default() -> Self {
        Self {
            mean: [0.5; 3],
            std: [0.5; 3],
        }
    }
}

impl MeanStd {
    /// Those with which the weights were trained. `None` if they are not of three channels.
    pub fn of(preprocessing: &Preprocessing) -> Option<Self> {
        let mean = preprocessing.mean.as_slice().try_into().ok()?;
        let std = preprocessing.std.as_slice().try_into().ok()?;
        Some(Self { mean, std })
    }

    /// Normalises `[.., 3]` pixels.
    pub fn apply(&self, pixels: &mut [f32]) {
        let (pixels, _) = pixels.as_chunks_mut::<3>();
        for pixel in pixels {
            for ((value, mean), std) in pixel.iter_mut().zip(self.mean).zip(self.std) {
                *value = (*value - mean) / std;
            }
        }
    }
}
