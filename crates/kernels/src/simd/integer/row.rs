//! What depthwise kernels compute: a row of pixels.

use super::rounding::Rounding;
use crate::geometry::ConvGeometry;

/// Output pixels that are neighbours in a row.
pub(crate) struct Row<'a> {
    /// The first pixel's window: the input's first channel under its first tap.
    pub(crate) input: *const u8,
    /// Bytes from a pixel's window to the next.
    pub(crate) step: usize,
    /// Bytes from an input pixel to the next.
    pub(crate) pixel: usize,
    /// Bytes from a row of a window of 3 x 3 to the next, if it is one without dilation.
    pub(crate) square: Option<usize>,
    /// Offsets of the taps, two by two.
    pub(crate) taps: &'a [[usize; 2]],
    pub(crate) pixels: usize,
    pub(crate) channels: usize,
    pub(crate) products: TapProducts,
    /// How channels are taken together, if weights, starts and factors have that order.
    pub(crate) quads: &'a [Quad],
    /// In the order that the products ask for.
    pub(crate) weights: *const u8,
    /// What sums begin with, for whole vectors.
    pub(crate) start: *const i32,
    pub(crate) rounding: Rounding<'a>,
}

/// How a pixel's products are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TapProducts {
    /// Two taps at a time, as 16 bits: weights `[vectors, pairs of taps, LANES, 2]`.
    Pairs,
    /// A column of a window of 3 x 3 at a time, as bytes: weights `[vectors, columns, LANES, 4]`.
    Columns,
}

/// Whether there is a kernel for a window's columns.
pub(crate) fn has_columns(geometry: &ConvGeometry) -> bool {
    geometry.kernel == [3, 3] && geometry.dilation == 1 && geometry.stride <= 2
}

/// Where the pixels are written, and the distance from one to the next.
#[derive(Clone, Copy)]
pub(crate) enum Target<V> {
    /// A map.
    Bytes(*mut u8, usize),
    /// Left operands of a matrix product.
    Values(*mut V, usize),
}

/// The order in which a window's taps are multiplied, two by two. In a window of 3 x 3, the first
/// two rows of a column are a pair, and neighbours of the last row: neighbouring pixels share most
/// pairs then. The last tap of an odd number is paired with itself, at a weight of 0.
pub(crate) fn tap_pairs([rows, columns]: [usize; 2]) -> Vec<[usize; 2]> {
    let taps = rows * columns;
    match (rows, columns) {
        (3, 3) => vec![[0, 3], [1, 4], [2, 5], [6, 7], [8, 8]],
        _ => (0..taps)
            .step_by(2)
            .map(|tap| [tap, (tap + 1).min(taps - 1)])
            .collect(),
    }
}

impl<V> Target<V> {
    /// The same pixels from a channel on.
    #[inline(always)]
    pub(super) fn from(self, channel: usize) -> Self {
        match self {
            Self::Bytes(to, step) => Self::Bytes(to.wrapping_add(channel), step),
            Self::Values(to, step) => Self::Values(to.wrapping_add(channel), step),
        }
    }
}

/// Channels that a kernel computes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quad {
    /// The first channel.
    pub(crate) first: usize,
    /// Pixels in a vector.
    pub(crate) streams: usize,
}

/// Channels that interleaved rows have side by side, of each pixel at least.
pub(super) const GROUP: usize = 16;

impl Quad {
    /// Quads of vectors of `lanes` sums that have all channels; none if there are too few. The last one
    /// may have some of the one before again.
    pub(crate) fn all(channels: usize, lanes: usize) -> Vec<Self> {
        let bytes = 4 * lanes;
        let mut quads = Vec::new();
        if channels < GROUP {
            return quads;
        }
        let mut first = 0;
        while first < channels {
            let left = channels - first;
            let streams = [1, 2, 4]
                .into_iter()
                .find(|streams| bytes / streams <= left);
            let streams = streams.filter(|streams| bytes / streams >= GROUP);
            let streams = streams.unwrap_or(bytes / GROUP);
            first = first.min(channels - bytes / streams);
            quads.push(Self { first, streams });
            first += bytes / streams;
        }
        quads
    }

    /// The channel of each sum, `[vectors, lanes]`.
    pub(crate) fn channels(self, lanes: usize) -> impl Iterator<Item = usize> {
        let each = 4 * lanes / self.streams;
        (0..4 * lanes).map(move |sum| {
            let (vector, lane) = (sum / lanes, sum % lanes);
            self.first + (lane / 4 * GROUP + 4 * vector + lane % 4) % each
        })
    }
}
