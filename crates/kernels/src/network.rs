//! What inference and training both know of a network.

/// What a layer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConvKind {
    /// Full convolution, pointwise included; weights `[out, in, rows, columns]`.
    Conv,
    /// Depthwise convolution; weights `[channels, 1, rows, columns]`, in and out channels equal.
    Depthwise,
}

/// Which part of the last map is averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// All of it.
    Global,
    /// So many rows and columns from the top left, or all if there are fewer.
    Window([usize; 2]),
}

impl Pooling {
    /// Rows and columns that are averaged of a map of `height` x `width`.
    pub(crate) fn window(self, height: usize, width: usize) -> [usize; 2] {
        match self {
            Self::Global => [height, width],
            Self::Window([rows, columns]) => [rows.min(height), columns.min(width)],
        }
    }
}
