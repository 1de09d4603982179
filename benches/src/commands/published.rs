//! The sizes of the published networks.

/// Width multipliers.
pub(super) const WIDTHS: [f64; 4] = [1.0, 0.75, 0.5, 0.25];

/// Rows and columns of the images.
pub(super) const SIDES: [usize; 4] = [224, 192, 160, 128];
