//! What all kinds of layers have: sizes, and the offsets of their map and coefficients.
//!
//! `z` is a layer's output before normalisation, `a` its activation. `g` is the gradient of `a`
//! after it was taken back through the activation, `dz` the gradient of `z`.

use super::network::TrainingLayer;
use crate::geometry::ConvSize;

/// Values that a layer keeps for each channel. Each is a row of the layer's width.
#[derive(Debug, Clone, Copy)]
pub(super) enum Coefficient {
    /// `a = clamp(z * scale + shift)`.
    Scale,
    Shift,
    /// Of the batch, or the running ones if the statistics are fixed.
    Mean,
    Variance,
    /// `1 / sqrt(variance + epsilon)`.
    Inverse,
    /// `dz = g * scale + z * slope + offset`.
    Slope,
    Offset,
}

/// Number of coefficients.
pub(super) const COEFFICIENTS: usize = 7;

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
    /// Offset of `z`.
    pub(super) map: usize,
    /// Offset of the coefficients.
    pub(super) coefficients: usize,
    /// Whether it normalises by its running statistics.
    pub(super) fixed_statistics: bool,
}

impl PlannedLayer {
    /// Offset of a row of coefficients.
    pub(super) fn coefficient(&self, which: Coefficient) -> usize {
        self.coefficients + which as usize * self.width
    }
}
