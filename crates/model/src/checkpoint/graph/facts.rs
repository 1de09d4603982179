//! What a graph says of its network besides the parameters.

use mobilenet_kernels::ConvGeometry;

use super::affine::Affine;
use crate::checkpoint::readers::graph::Samples;

/// Facts of a graph, in the order of its operations.
#[derive(Debug)]
pub(in crate::checkpoint) struct Facts {
    /// Rows and columns of the image, where they are fixed.
    pub(in crate::checkpoint) size: Option<[usize; 2]>,
    /// How 8-bit samples become numbers.
    pub(in crate::checkpoint) samples: Option<Samples>,
    /// What the network does first.
    pub(in crate::checkpoint) affine: Option<Affine>,
    /// Epsilon of batch normalisation; `None` where it is folded into the convolutions.
    pub(in crate::checkpoint) epsilon: Option<f64>,
    /// What follows each convolution; `None` where nothing does.
    pub(in crate::checkpoint) activations: Vec<Option<String>>,
    /// Windows of the convolutions.
    pub(in crate::checkpoint) windows: Vec<ConvGeometry>,
    /// Window of the pool, the whole map without one.
    pub(in crate::checkpoint) pool: Option<[usize; 2]>,
}
