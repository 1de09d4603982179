//! What all kinds of layers have: sizes, and the offsets of their map and coefficients.
//!
//! `z` is a layer's output before normalisation, `a` its activation. With rounded weights, `y` is the
//! output that counts, and `z` that of the weights as they are. Without, they are the same. `g` is the gradient of `a`
//! after it was taken back through the activation, `dz` the gradient of `z`.

use super::network::TrainingLayer;
use super::planned_covariance::PlannedCovariance;
use super::planned_weights::PlannedWeights;
use super::ranges::PlannedRange;
use crate::geometry::ConvSize;

/// Values that a layer keeps for each channel. Each is a row of the layer's width.
#[derive(Debug, Clone, Copy)]
pub(super) enum Coefficient {
    /// `a = clamp(y * scale + shift)`.
    Scale,
    Shift,
    /// Of `z` over the batch, or the running ones if the statistics are fixed.
    Mean,
    Variance,
    /// `1 / sqrt(variance + epsilon)`.
    Inverse,
    /// About the mean of `y`.
    Centre,
    /// `dz = g * scale + z * slope + offset`; with rounded weights `dy = g * scale` and `dz = z *
    /// slope + offset`.
    Slope,
    Offset,
    /// With rounded weights, what `dy` and `dz` do together to weights that pass gradients:
    /// `dw = sum of (g * factor + dz) * a`.
    Factor,
}

/// Number of coefficients.
pub(super) const COEFFICIENTS: usize = 9;

/// One layer.
#[derive(Debug)]
pub(super) struct PlannedLayer {
    pub(super) index: usize,
    pub(super) spec: TrainingLayer,
    pub(super) size: ConvSize,
    /// Output pixels of all images.
    pub(super) pixels: usize,
    /// Output channels in vectors, and in values with padding.
    pub(super) vectors: usize,
    pub(super) width: usize,
    /// From which the statistics of `z` follow, if it is not computed.
    pub(super) covariance: Option<PlannedCovariance>,
    /// Offset of the map, and values from one pixel to the next: those of `y`, and if `z` is kept, those
    /// of `z` after them.
    pub(super) map: usize,
    pub(super) pixel: usize,
    /// The weights of `y`, if they are rounded.
    pub(super) rounded: Option<PlannedWeights>,
    /// The range of the activation, if it is measured.
    pub(super) range: Option<PlannedRange>,
    /// Offset of the coefficients.
    pub(super) coefficients: usize,
    /// Whether it normalises by its running statistics.
    pub(super) fixed_statistics: bool,
}

impl PlannedLayer {
    /// Offset of a pixel of `y`.
    #[inline(always)]
    pub(super) fn output(&self, pixel: usize) -> usize {
        self.map + pixel * self.pixel
    }

    /// Offset of a pixel of `z`.
    #[inline(always)]
    pub(super) fn plain_output(&self, pixel: usize) -> usize {
        self.output(pixel) + self.pixel - self.width
    }

    /// Offset of a row of coefficients.
    pub(super) fn coefficient(&self, which: Coefficient) -> usize {
        self.coefficients + which as usize * self.width
    }
}
