//! Offsets of the covariance of a layer's input.

use std::ops::Range;

use super::network::TrainingLayer;
use super::offsets::{Offsets, Vectors, splits_panels};
use crate::panels::PanelLayout;

/// Output channels whose weights are summed at once for the gradient of the input.
pub(super) const BLOCK: usize = 64;

/// What is kept of a layer's input.
#[derive(Debug)]
pub(super) struct PlannedCovariance {
    /// Values of a patch; in whole vectors; output channels.
    pub(super) channels: usize,
    pub(super) width: usize,
    pub(super) outputs: usize,
    /// Layout of the sums of products, and of the covariance.
    pub(super) layout: PanelLayout,
    /// Whether threads divide the sums by panels. Otherwise each has its own.
    pub(super) splits_panels: bool,
    /// Offset of the weights in the order of a patch, if that is not theirs.
    pub(super) ordered: Option<usize>,
    /// Offsets of `m`, and of `V`, whose rows are of `width` values.
    pub(super) means: usize,
    pub(super) product: usize,
}

impl PlannedCovariance {
    /// For a layer of `pixels` pixels, which is pointwise or the first, if that costs less than
    /// convolutions.
    pub(super) fn new(
        layer: &TrainingLayer,
        pixels: usize,
        needs_input: bool,
        threads: usize,
        vectors: Vectors,
        offsets: &mut Offsets,
    ) -> Option<Self> {
        let (channels, outputs) = (layer.depth(), layer.out_channels);
        // Multiply-adds, in fifths: two products of weights, which are slower than those of pixels,
        // and the sums, against a convolution and passes over `z`; and a product for the gradient of the
        // input.
        let of_input = if needs_input { 5 } else { 0 };
        let (width, columns) = (vectors.width(channels), vectors.width(outputs));
        let cost = 12 * outputs * channels + (3 + of_input) * pixels * width;
        if cost >= (8 + of_input) * pixels * columns || pixels < threads {
            return None;
        }
        let layout = vectors.panels(channels, width);
        Some(Self {
            channels,
            width,
            outputs,
            layout,
            splits_panels: splits_panels(&layout, threads),
            ordered: (!layer.geometry.is_pointwise()).then(|| offsets.take(outputs * channels)),
            means: offsets.take(width),
            product: offsets.take(outputs * width),
        })
    }

    /// Values of a thread's sums of products.
    pub(super) fn sums(&self, threads: usize) -> usize {
        match self.splits_panels {
            true => self.layout.len().div_ceil(threads),
            false => self.layout.len(),
        }
    }

    /// Values of the covariance.
    pub(super) fn len(&self) -> usize {
        self.layout.len()
    }

    /// Values of a thread's means, deviations, and count of pixels.
    pub(super) fn input_means(&self) -> usize {
        self.count_place() + 1
    }

    /// Where the count is among them.
    pub(super) fn count_place(&self) -> usize {
        2 * self.width
    }

    /// The thread's panels of sums, if threads divide them.
    pub(super) fn own_panels(&self, thread: usize, threads: usize) -> Option<Range<usize>> {
        self.splits_panels
            .then(|| triangle(self.layout.count(), thread, threads))
    }

    /// Values of scratch per thread.
    pub(super) fn scratch(&self) -> usize {
        (2 * BLOCK + 1) * self.width
    }
}

/// The thread's panels of symmetric sums, of which later panels have more rows.
pub(super) fn triangle(panels: usize, thread: usize, threads: usize) -> Range<usize> {
    let bound = |thread: usize| {
        let share = (thread as f64 / threads as f64).sqrt();
        (share * panels as f64).round() as usize
    };
    bound(thread)..bound(thread + 1)
}
