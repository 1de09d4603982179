//! What a program is built for.

use super::frames::Normalization;
use super::input::ImageLayout;
use crate::geometry::ConvGeometry;
use crate::network::Pooling;

/// What a program gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// The classifier's output.
    #[default]
    Logits,
    /// Pooled features.
    Features,
    /// The map that the layer of this number gives, counted from 0.
    ///
    /// Not that of a depthwise layer whose next layer, a pointwise one, runs too and is packed by
    /// Strassen's scheme: the two are always one operation.
    Map(usize),
}

/// What a program is built for.
#[derive(Debug, Clone)]
pub struct ProgramConfig {
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Windows of the layers, in order; fewer than the network has end it early.
    pub geometries: Vec<ConvGeometry>,
    /// What it gives, in any number and order.
    pub outputs: Vec<Output>,
    /// Which part of the last map is averaged.
    pub pooling: Pooling,
    /// Order of an output map's values.
    pub layout: ImageLayout,
    /// Number of threads.
    pub threads: usize,
    /// Normalisation of 8-bit input; `None` for f32 input.
    pub normalization: Option<Normalization>,
}
