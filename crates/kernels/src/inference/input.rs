//! Images of several layouts -> the first map of a program.

use super::map::Map;
use crate::error::{KernelError, check_length};

/// Order of an image's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImageLayout {
    /// `[batch, height, width, channels]`.
    #[default]
    Nhwc,
    /// `[batch, channels, height, width]`.
    Nchw,
}

/// What makes a network's input of 8-bit values: `value * scale + shift`, channel by channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    /// One factor a channel.
    pub scale: Vec<f32>,
    /// One summand a channel.
    pub shift: Vec<f32>,
}

/// A batch of images.
#[derive(Debug, Clone, Copy)]
pub enum Images<'a> {
    /// Normalised values.
    F32(&'a [f32], ImageLayout),
    /// Camera frames, `[batch, height, width, channels]`, normalised on the way in. The zeros of
    /// the first layer's padding are zeros after normalisation.
    U8(&'a [u8], &'a Normalization),
}

impl Images<'_> {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values, _) => values.len(),
            Self::U8(values, _) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a normalisation has as many values as there are channels.
    pub(super) fn check(&self, channels: usize) -> Result<(), KernelError> {
        if let Self::U8(_, normalization) = self {
            check_length("scale", normalization.scale.len(), &[channels])?;
            check_length("shift", normalization.shift.len(), &[channels])?;
        }
        Ok(())
    }

    /// Writes row `y` of image `image` to `row`, `[width, channels]`.
    pub(super) fn write_row(&self, map: &Map, image: usize, y: usize, row: &mut [f32]) {
        let Map {
            height,
            width,
            channels,
            ..
        } = *map;
        let start = image * height * width * channels;
        match *self {
            Self::F32(values, ImageLayout::Nhwc) => {
                row.copy_from_slice(&values[start + y * width * channels..][..width * channels]);
            }
            Self::F32(values, ImageLayout::Nchw) => {
                for c in 0..channels {
                    let plane = &values[start + (c * height + y) * width..][..width];
                    for (to, from) in row.iter_mut().skip(c).step_by(channels).zip(plane) {
                        *to = *from;
                    }
                }
            }
            Self::U8(values, normalization) => {
                let from = &values[start + y * width * channels..][..width * channels];
                let Normalization { scale, shift } = normalization;
                for (to, from) in row
                    .chunks_exact_mut(channels)
                    .zip(from.chunks_exact(channels))
                {
                    for c in 0..channels {
                        to[c] = f32::from(from[c]) * scale[c] + shift[c];
                    }
                }
            }
        }
    }
}
