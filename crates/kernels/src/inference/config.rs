//! What a program is built for.

use super::frames::Normalization;
use super::input::ImageLayout;
use crate::geometry::ConvGeometry;
use crate::network::Pooling;

/// An output of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// The logits of the classifier.
    #[default]
    Logits,
    /// Pooled features.
    Features,
    /// The map of the layer of this index.
    ///
    /// A depthwise layer's map is not available if the program also runs the next layer, and that
    /// is a pointwise one packed by Strassen's scheme: the two are always one operation.
    Map(usize),
    /// What the branch of this index makes of the layer that it reads.
    Branch(usize),
}

/// What a program is built for.
#[derive(Debug, Clone)]
pub struct ProgramConfig {
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Windows of the layers, in order. If there are fewer than the network has layers, it ends
    /// early.
    pub geometries: Vec<ConvGeometry>,
    /// The outputs, in any number and order.
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
