//! Images of several layouts, and their conversion to a program's first map.

use super::feature_map::FeatureMap;

/// Order of an image's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImageLayout {
    /// `[batch, height, width, channels]`.
    #[default]
    Nhwc,
    /// `[batch, channels, height, width]`.
    Nchw,
}

/// A batch of images.
#[derive(Debug, Clone, Copy)]
pub enum Images<'a> {
    /// Normalised values.
    F32(&'a [f32], ImageLayout),
    /// Camera frames, `[batch, height, width, channels]`, for a program that was built with their
    /// normalisation. The padding of the first layer is zero after normalisation.
    U8(&'a [u8]),
}

impl Images<'_> {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values, _) => values.len(),
            Self::U8(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes row `y` of image `image` to `row`, `[width, channels]`; bytes become f32.
    #[inline(always)]
    pub(super) fn write_row(&self, map: &FeatureMap, image: usize, y: usize, row: &mut [f32]) {
        let FeatureMap {
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
            Self::U8(values) => {
                let from = &values[start + y * width * channels..][..width * channels];
                for (to, from) in row.iter_mut().zip(from) {
                    *to = f32::from(*from);
                }
            }
        }
    }
}
