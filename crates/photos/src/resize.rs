//! The resize rules: slim's (crop, then resize), resizing the whole photo, and the rule of Hugging
//! Face and timm (resize the short edge, then crop).

use std::fmt;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use super::error::PhotoError;

/// How a photo is brought to the network's size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Resize {
    /// slim's evaluation: the central `fraction` of each side is resized by TF1's bilinear
    /// interpolation (no half-pixel centres, no antialiasing). The aspect ratio is not kept.
    CentralCrop {
        /// Part of each side that is kept: 0.875 in slim.
        fraction: f64,
    },
    /// The whole photo is resized with an antialiasing filter. The aspect ratio is not kept.
    Squeeze {
        /// Interpolation.
        filter: Filter,
    },
    /// Hugging Face and timm: the photo is resized with an antialiasing filter so that its short
    /// edge has length `edge`, then its centre is cropped. For a crop that is no square, the photo
    /// is resized to cover the crop, enlarged so that its short edge has that length (timm).
    ShortestEdge {
        /// Length of the short edge.
        edge: usize,
        /// Interpolation.
        filter: Filter,
        /// Rounding of the crop's offset, if it falls on half a pixel.
        rounding: CropRounding,
    },
    /// The whole photo is resized with an antialiasing filter so that it just fits. The aspect ratio
    /// is kept; below or right of the photo all is black.
    LongestEdge {
        /// Interpolation.
        filter: Filter,
    },
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CentralCrop { fraction } => {
                write!(f, "central {} % resized, bilinear", 100.0 * fraction)
            }
            Self::Squeeze { filter } => write!(f, "whole photo resized, {filter}"),
            Self::LongestEdge { filter } => {
                write!(f, "whole photo resized to fit, {filter}, the rest black")
            }
            Self::ShortestEdge { edge, filter, .. } => {
                write!(f, "short edge resized to {edge}, {filter}, centre cropped")
            }
        }
    }
}

/// An antialiasing filter of Pillow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Triangle.
    Bilinear,
    /// Cubic with a = -0.5.
    Bicubic,
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
        })
    }
}

/// Rounding of the crop's offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CropRounding {
    /// Hugging Face.
    Down,
    /// torchvision and timm.
    HalfToEven,
}

/// Rows and columns of a photo of `[height, width]` that was resized to fit a size.
fn fitting([height, width]: [usize; 2], size: [usize; 2]) -> [usize; 2] {
    let [rows, columns] = size.map(|side| side as f64);
    let scale = (rows / height as f64).min(columns / width as f64);
    let side =
        |length: usize, most: usize| ((length as f64 * scale).round() as usize).clamp(1, most);
    [side(height, size[0]), side(width, size[1])]
}

/// Longest side of an intermediate image.
const LONGEST_SIDE: usize = 1 << 15;

impl Resize {
    /// Rows and columns that the antialiasing filter makes of a whole photo of `[height, width]`.
    /// `None` without such a filter: then single pixels count, and none may be missing.
    pub(super) fn resized(
        &self,
        [height, width]: [usize; 2],
        size: [usize; 2],
    ) -> Option<[usize; 2]> {
        match *self {
            Self::CentralCrop { .. } => None,
            Self::Squeeze { .. } => Some(size),
            Self::ShortestEdge { edge, .. } => Some(edges([height, width], edge, size)),
            Self::LongestEdge { .. } => Some(fitting([height, width], size)),
        }
    }

    /// Resizes `samples` `[height, width, channels]` to `size` (rows, columns); the result is in
    /// units of full white.
    pub(super) fn apply(
        &self,
        samples: &[u8],
        [height, width, channels]: [usize; 3],
        size: [usize; 2],
    ) -> Result<Vec<f32>, PhotoError> {
        let reject = |message: String| Err(PhotoError::Rule(message));
        if height == 0 || width == 0 || size.contains(&0) {
            return reject(format!(
                "{width}x{height} cannot become {}x{}",
                size[1], size[0]
            ));
        }
        if size.iter().any(|&side| side > LONGEST_SIDE) {
            return reject(format!("{}x{} is too large", size[1], size[0]));
        }
        match *self {
            Self::CentralCrop { fraction } => {
                if !(fraction > 0.0 && fraction <= 1.0) {
                    return reject(format!("crop fraction {fraction} is not in (0, 1]"));
                }
                let rows = Interpolation::new(central(height, fraction), size[0]);
                let columns = Interpolation::new(central(width, fraction), size[1]);
                Ok(bilinear(samples, width, channels, &rows, &columns))
            }
            Self::Squeeze { filter } => {
                let resized = filtered(samples, [height, width, channels], size, filter)?;
                Ok(resized.into_iter().map(unit).collect())
            }
            Self::ShortestEdge {
                edge,
                filter,
                rounding,
            } => {
                let (resized, whole) =
                    shortest_edge(samples, [height, width, channels], size, edge, filter)?;
                let corner = [0, 1].map(|axis| rounding.offset(whole[axis] - size[axis]));
                Ok(cut(&resized, whole[1], channels, corner, size))
            }
            Self::LongestEdge { filter } => {
                let inner = fitting([height, width], size);
                let resized = filtered(samples, [height, width, channels], inner, filter)?;
                let mut pixels = vec![0.0; size[0] * size[1] * channels];
                let rows = pixels.chunks_exact_mut(size[1] * channels);
                for (row, from) in rows.zip(resized.chunks_exact(inner[1] * channels)) {
                    for (to, &value) in row.iter_mut().zip(from) {
                        *to = unit(value);
                    }
                }
                Ok(pixels)
            }
        }
    }

    /// The ten views of AlexNet, one after another: the four corners and the centre, each also
    /// mirrored, of the square in the middle of a photo whose short edge was resized. For a crop
    /// that is no square, of a rectangle of the crop's shape.
    pub(super) fn ten_crops(
        &self,
        samples: &[u8],
        [height, width, channels]: [usize; 3],
        size: [usize; 2],
    ) -> Result<Vec<f32>, PhotoError> {
        let Self::ShortestEdge { edge, filter, .. } = *self else {
            let message = format!("{self:?} has no corners to crop");
            return Err(PhotoError::Rule(message));
        };
        let (resized, whole) =
            shortest_edge(samples, [height, width, channels], size, edge, filter)?;
        let middle = cover(edge, size);
        let square = [0, 1].map(|axis| whole[axis].saturating_sub(middle[axis]) / 2);
        let spare = [0, 1].map(|axis| middle[axis].min(whole[axis]) - size[axis]);
        let mut views = Vec::with_capacity(10 * size[0] * size[1] * channels);
        for [down, right] in [[0, 0], [0, 2], [2, 0], [2, 2], [1, 1]] {
            let corner = [
                square[0] + spare[0] * down / 2,
                square[1] + spare[1] * right / 2,
            ];
            let view = cut(&resized, whole[1], channels, corner, size);
            views.extend_from_slice(&view);
            for row in view.chunks_exact(size[1] * channels) {
                views.extend(row.chunks_exact(channels).rev().flatten());
            }
        }
        Ok(views)
    }
}

impl Resize {
    /// The part of a photo of `[rows, columns]` that the network sees at a size: top, left, bottom
    /// and right in pixels of the photo.
    pub fn region(&self, [height, width]: [usize; 2], size: [usize; 2]) -> [f64; 4] {
        match *self {
            Self::CentralCrop { fraction } => {
                let (top, rows) = central(height, fraction);
                let (left, columns) = central(width, fraction);
                [top, left, top + rows, left + columns].map(|pixel| pixel as f64)
            }
            Self::Squeeze { .. } => [0.0, 0.0, height as f64, width as f64],
            // What is black is beyond the photo.
            Self::LongestEdge { .. } => {
                let inner = fitting([height, width], size);
                let rows = (size[0] * height) as f64 / inner[0] as f64;
                [0.0, 0.0, rows, (size[1] * width) as f64 / inner[1] as f64]
            }
            Self::ShortestEdge { edge, .. } => {
                let resized = edges([height, width], edge, size);
                let rows = (size[0] * height) as f64 / resized[0] as f64;
                let columns = (size[1] * width) as f64 / resized[1] as f64;
                let top = (height as f64 - rows) / 2.0;
                let left = (width as f64 - columns) / 2.0;
                [top, left, top + rows, left + columns]
            }
        }
    }
}

impl CropRounding {
    fn offset(self, spare: usize) -> usize {
        match self {
            Self::Down => spare / 2,
            Self::HalfToEven => spare / 2 + usize::from(spare % 4 == 3),
        }
    }
}

/// The crop, enlarged so that its shorter side is `edge`.
fn cover(edge: usize, size: [usize; 2]) -> [usize; 2] {
    let shorter = size[0].min(size[1]).max(1);
    size.map(|side| side * edge / shorter)
}

/// Rows and columns of a photo of `[height, width]` that is resized for a crop of `size`.
fn edges([height, width]: [usize; 2], edge: usize, size: [usize; 2]) -> [usize; 2] {
    let (short, long) = (height.min(width), height.max(width));
    if size[0] != size[1] {
        let cover = cover(edge, size);
        let ratio = [0, 1].map(|axis| [height, width][axis] as f64 / cover[axis] as f64);
        let ratio = ratio[0].min(ratio[1]);
        return [0, 1].map(|axis| {
            let side = [height, width][axis] as f64 / ratio;
            (side.round_ties_even() as usize).max(cover[axis])
        });
    }
    let long_edge = (edge as f64 * long as f64 / short as f64) as usize;
    if height <= width {
        [edge, long_edge]
    } else {
        [long_edge, edge]
    }
}

/// A photo whose short edge is resized to `edge`, of which `size` is to be cut out, and its rows
/// and columns.
fn shortest_edge(
    samples: &[u8],
    [height, width, channels]: [usize; 3],
    size: [usize; 2],
    edge: usize,
    filter: Filter,
) -> Result<(Vec<u8>, [usize; 2]), PhotoError> {
    let reject = |message: String| Err(PhotoError::Rule(message));
    if edge < size[0].min(size[1]) {
        return reject(format!("short edge {edge} is less than the crop {size:?}"));
    }
    let whole = edges([height, width], edge, size);
    if whole[0].max(whole[1]) > LONGEST_SIDE {
        return reject(format!(
            "{width}x{height} is too narrow to resize to {edge}"
        ));
    }
    let resized = filtered(samples, [height, width, channels], whole, filter)?;
    Ok((resized, whole))
}

/// Cuts `size` out of an image of this width, from `corner` (row, column).
fn cut(
    image: &[u8],
    width: usize,
    channels: usize,
    [top, left]: [usize; 2],
    size: [usize; 2],
) -> Vec<f32> {
    let mut pixels = Vec::with_capacity(size[0] * size[1] * channels);
    for y in top..top + size[0] {
        let row = &image[(y * width + left) * channels..][..size[1] * channels];
        pixels.extend(row.iter().copied().map(unit));
    }
    pixels
}

/// 8 bits in units of full white.
fn unit(value: u8) -> f32 {
    f32::from(value) / 255.0
}

/// First index and length of the central part of a side, TensorFlow's `central_crop`.
fn central(side: usize, fraction: f64) -> (usize, usize) {
    let start = ((side as f64 - side as f64 * fraction) / 2.0) as usize;
    (start, side - 2 * start)
}

/// For each output index, two input indices and the weight of the second.
struct Interpolation(Vec<(usize, usize, f32)>);

impl Interpolation {
    /// TF1's `resize_bilinear`: `source = output * (input size / output size)`, in f32.
    fn new((start, input): (usize, usize), output: usize) -> Self {
        let scale = input as f32 / output as f32;
        let taps = (0..output).map(|index| {
            let source = index as f32 * scale;
            let low = (source as usize).min(input - 1);
            let high = (low + 1).min(input - 1);
            (start + low, start + high, source - low as f32)
        });
        Self(taps.collect())
    }
}

fn bilinear(
    samples: &[u8],
    width: usize,
    channels: usize,
    rows: &Interpolation,
    columns: &Interpolation,
) -> Vec<f32> {
    let value = |y: usize, x: usize, c: usize| {
        f32::from(samples[(y * width + x) * channels + c]) * (1.0 / 255.0)
    };
    let mut pixels = Vec::with_capacity(rows.0.len() * columns.0.len() * channels);
    for &(top, bottom, down) in &rows.0 {
        for &(left, right, across) in &columns.0 {
            for c in 0..channels {
                let lerp = |a: f32, b: f32, share: f32| a + (b - a) * share;
                let upper = lerp(value(top, left, c), value(top, right, c), across);
                let lower = lerp(value(bottom, left, c), value(bottom, right, c), across);
                pixels.push(lerp(upper, lower, down));
            }
        }
    }
    pixels
}

/// Pillow's resize, by the fast_image_resize crate: first along rows, to the new width, then along
/// columns. In between, values are rounded and clamped to 8 bits, so the order matters where a
/// cubic filter overshoots. The crate's own order is the opposite.
fn filtered(
    samples: &[u8],
    [height, width, channels]: [usize; 3],
    [new_height, new_width]: [usize; 2],
    filter: Filter,
) -> Result<Vec<u8>, PhotoError> {
    let narrowed = convolve(
        samples,
        channels,
        [height, width],
        [height, new_width],
        filter,
    )?;
    convolve(
        &narrowed,
        channels,
        [height, new_width],
        [new_height, new_width],
        filter,
    )
}

/// Resizes along one axis, from one size (rows, columns) to another.
///
/// Grey images are resized as three equal channels, because the resizer compiles 700 KiB of code
/// per pixel type, a fifth of this crate.
fn convolve(
    samples: &[u8],
    channels: usize,
    from: [usize; 2],
    to: [usize; 2],
    filter: Filter,
) -> Result<Vec<u8>, PhotoError> {
    if channels == 1 {
        let triples: Vec<u8> = samples.iter().flat_map(|&grey| [grey; 3]).collect();
        let resized = convolve(&triples, 3, from, to, filter)?;
        return Ok(resized.into_iter().step_by(3).collect());
    }
    let filter = match filter {
        Filter::Bilinear => FilterType::Bilinear,
        Filter::Bicubic => FilterType::CatmullRom,
    };
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    let failed = |error: &dyn std::fmt::Display| PhotoError::Rule(error.to_string());
    let source = TypedImageRef::<U8x3>::from_buffer(from[1] as u32, from[0] as u32, samples)
        .map_err(|error| failed(&error))?;
    let mut resized = vec![0; to[0] * to[1] * channels];
    let mut target = TypedImage::<U8x3>::from_buffer(to[1] as u32, to[0] as u32, &mut resized)
        .map_err(|error| failed(&error))?;
    // `resize`, which takes any pixel type, would compile code for thirteen types.
    Resizer::new()
        .resize_typed(&source, &mut target, &options)
        .map_err(|error| failed(&error))?;
    Ok(resized)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn central_crop_truncates_as_tensorflow_does() {
        assert_eq!(central(47, 0.875), (2, 43));
        assert_eq!(central(61, 0.875), (3, 55));
        assert_eq!(central(224, 0.875), (14, 196));
        assert_eq!(central(5, 1.0), (0, 5));
    }

    #[test]
    fn offsets_round_as_the_frameworks_do() {
        let offsets = |rounding: CropRounding| [1, 2, 3, 4, 5].map(|n| rounding.offset(n));
        assert_eq!(offsets(CropRounding::Down), [0, 1, 1, 2, 2]);
        assert_eq!(offsets(CropRounding::HalfToEven), [0, 1, 2, 2, 2]);
    }

    #[test]
    fn impossible_rules_are_errors() {
        let samples = vec![0; 12];
        let apply = |resize: Resize, size| resize.apply(&samples, [2, 2, 3], size);
        assert!(apply(Resize::CentralCrop { fraction: 0.0 }, [2, 2]).is_err());
        assert!(apply(Resize::CentralCrop { fraction: f64::NAN }, [2, 2]).is_err());
        let edge = |edge| Resize::ShortestEdge {
            edge,
            filter: Filter::Bilinear,
            rounding: CropRounding::Down,
        };
        assert!(apply(edge(3), [4, 4]).is_err());
        assert!(apply(edge(usize::MAX), [4, 4]).is_err());
        assert!(apply(edge(4), [0, 4]).is_err());
        assert!(edge(4000).apply(&[0; 300], [1, 100, 3], [4, 4]).is_err());
    }
}
