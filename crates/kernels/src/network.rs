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

/// The function that follows a layer's normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Activation {
    /// `min(max(x, 0), 6)`, as in slim. The paper's text says ReLU.
    #[default]
    Relu6,
    /// `max(x, 0)`.
    Relu,
    /// The value unchanged.
    Identity,
}

impl Activation {
    /// Smallest and largest value of the activation.
    #[inline]
    pub fn bounds(self) -> (f32, f32) {
        match self {
            Self::Relu6 => (0.0, 6.0),
            Self::Relu => (0.0, f32::INFINITY),
            Self::Identity => (f32::NEG_INFINITY, f32::INFINITY),
        }
    }

    /// The activation of one value.
    #[inline]
    pub fn apply(self, x: f32) -> f32 {
        let (low, high) = self.bounds();
        x.clamp(low, high)
    }
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
