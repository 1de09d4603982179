//! Descriptions of a network that inference and training share.

/// The kind of a layer's convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConvKind {
    /// Full convolution, pointwise included; weights `[out, in, rows, columns]`.
    Conv,
    /// Depthwise convolution, with as many output channels as input channels; weights `[channels,
    /// 1, rows, columns]`.
    Depthwise,
}

/// Which part of the last feature map is averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The whole map.
    Global,
    /// This number of rows and columns from the top left, or all if there are fewer.
    Window([usize; 2]),
}

impl Pooling {
    /// Number of rows and columns that are averaged in a map of `height` x `width`.
    pub(crate) fn window(self, height: usize, width: usize) -> [usize; 2] {
        match self {
            Self::Global => [height, width],
            Self::Window([rows, columns]) => [rows.min(height), columns.min(width)],
        }
    }
}
