//! The architecture as data: slim's `conv_defs`.

/// One row of the layer table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConvDef {
    /// A full convolution.
    Conv {
        /// Rows and columns of the kernel.
        kernel: [usize; 2],
        /// Stride of rows and columns.
        stride: usize,
        /// Output channels at width 1.
        depth: usize,
    },
    /// A depthwise convolution with the stride, then a pointwise convolution to `depth` channels.
    DepthSepConv {
        /// Rows and columns of the depthwise kernel.
        kernel: [usize; 2],
        /// Stride of the depthwise convolution.
        stride: usize,
        /// Output channels of the pointwise convolution at width 1.
        depth: usize,
    },
}

impl ConvDef {
    /// A 3x3 [`ConvDef::Conv`].
    pub const fn conv(stride: usize, depth: usize) -> Self {
        Self::Conv {
            kernel: [3, 3],
            stride,
            depth,
        }
    }

    /// A 3x3 [`ConvDef::DepthSepConv`].
    pub const fn separable(stride: usize, depth: usize) -> Self {
        Self::DepthSepConv {
            kernel: [3, 3],
            stride,
            depth,
        }
    }

    /// Output channels at width 1.
    pub const fn depth(&self) -> usize {
        let (Self::Conv { depth, .. } | Self::DepthSepConv { depth, .. }) = *self;
        depth
    }
}

/// MobileNetV1: slim's `_CONV_DEFS`, table 1 of the paper. The paper prints stride 2 for the last
/// depthwise layer, but its map sizes (7x7 in, 7x7 out) need stride 1, which slim has.
pub const MOBILENET_V1_CONV_DEFS: [ConvDef; 14] = [
    ConvDef::conv(2, 32),
    ConvDef::separable(1, 64),
    ConvDef::separable(2, 128),
    ConvDef::separable(1, 128),
    ConvDef::separable(2, 256),
    ConvDef::separable(1, 256),
    ConvDef::separable(2, 512),
    ConvDef::separable(1, 512),
    ConvDef::separable(1, 512),
    ConvDef::separable(1, 512),
    ConvDef::separable(1, 512),
    ConvDef::separable(1, 512),
    ConvDef::separable(2, 1024),
    ConvDef::separable(1, 1024),
];
