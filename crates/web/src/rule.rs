//! How a photo becomes the network's input: the rule that came with the weights.

use crate::error::WebError;
use crate::filter::Filter;
use crate::words::Words;

/// Longest side of an image, and of what is resized.
pub(crate) const LONGEST_SIDE: usize = 1 << 15;

/// Resize, crop and normalisation.
#[derive(Debug, Clone)]
pub struct Rule {
    /// How a photo is brought to the network's size.
    pub resize: Resize,
    /// Subtracted from each channel, in units of full white.
    pub mean: Vec<f32>,
    /// Divisor of each channel.
    pub std: Vec<f32>,
}

/// How a photo is brought to the network's size.
#[derive(Debug, Clone, Copy)]
pub enum Resize {
    /// The central fraction of each side, by TensorFlow's bilinear interpolation.
    CentralCrop(f64),
    /// The whole photo.
    Squeeze(Filter),
    /// The short edge to a length, then the centre.
    ShortestEdge {
        /// The length.
        edge: usize,
        /// The filter.
        filter: Filter,
        /// Whether half a pixel of offset is rounded to even, or down.
        to_even: bool,
    },
    /// The whole photo in its shape, so that it just fits; below or right of it all is black.
    LongestEdge(Filter),
}

impl Rule {
    /// Reads a rule: a number for the resize and what it needs, then means and divisors.
    pub(crate) fn read(words: &mut Words<'_>, channels: usize) -> Result<Self, WebError> {
        let resize = match words.next()? {
            0 => {
                let fraction = words.double()?;
                // Written so that NaN is refused.
                if !(fraction > 0.0 && fraction <= 1.0) {
                    return Err(WebError::Order("the crop is not a part of the photo"));
                }
                Resize::CentralCrop(fraction)
            }
            1 => Resize::Squeeze(filter(words)?),
            2 => Resize::ShortestEdge {
                edge: words.size("the short edge", LONGEST_SIDE)?,
                filter: filter(words)?,
                to_even: words.next()? != 0,
            },
            3 => Resize::LongestEdge(filter(words)?),
            found => {
                let what = "a rule for photos";
                return Err(WebError::Unknown { what, found });
            }
        };
        // Photos are RGB, or made grey.
        if channels != 1 && channels != 3 {
            return Err(WebError::Order("photos have 3 channels or 1"));
        }
        let mut numbers =
            || -> Result<Vec<f32>, WebError> { (0..channels).map(|_| words.float()).collect() };
        let (mean, std) = (numbers()?, numbers()?);
        let is_wrong = |std: &f32| !std.is_finite() || *std == 0.0;
        if std.iter().any(is_wrong) || mean.iter().any(|mean| !mean.is_finite()) {
            return Err(WebError::Order("the normalisation divides by zero"));
        }
        Ok(Self { resize, mean, std })
    }
}

fn filter(words: &mut Words<'_>) -> Result<Filter, WebError> {
    match words.next()? {
        0 => Ok(Filter::Bilinear),
        1 => Ok(Filter::Bicubic),
        found => {
            let what = "a filter";
            Err(WebError::Unknown { what, found })
        }
    }
}

/// First index and length of the central part of a side.
pub(crate) fn central(side: usize, fraction: f64) -> (usize, usize) {
    let start = ((side as f64 - side as f64 * fraction) / 2.0) as usize;
    (start, side - 2 * start)
}

/// Rows and columns of a photo that is resized to fit a size.
pub(crate) fn fitting(photo: [usize; 2], size: [usize; 2]) -> [usize; 2] {
    let scale = |axis: usize| size[axis] as f64 / photo[axis] as f64;
    let scale = scale(0).min(scale(1));
    [0, 1].map(|axis| ((photo[axis] as f64 * scale).round() as usize).clamp(1, size[axis].max(1)))
}

/// Rows and columns of a photo that is resized so that its short edge has a length, or so that it
/// covers a crop that is no square.
pub(crate) fn edges(photo: [usize; 2], edge: usize, size: [usize; 2]) -> [usize; 2] {
    let (short, long) = (photo[0].min(photo[1]), photo[0].max(photo[1]));
    if size[0] != size[1] {
        let shorter = size[0].min(size[1]).max(1);
        let cover = size.map(|side| side * edge / shorter);
        let ratio = [0, 1].map(|axis| photo[axis] as f64 / cover[axis] as f64);
        let ratio = ratio[0].min(ratio[1]);
        return [0, 1].map(|axis| {
            let side = photo[axis] as f64 / ratio;
            (side.round_ties_even() as usize).max(cover[axis])
        });
    }
    let long = (edge as f64 * long as f64 / short as f64) as usize;
    match photo[0] <= photo[1] {
        true => [edge, long],
        false => [long, edge],
    }
}
