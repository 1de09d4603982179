//! What a graph says of its network, except the parameters.

use mobilenet_kernels::ConvGeometry;

use super::affine::Affine;
use crate::checkpoint::readers::graph::Samples;

/// Facts of a graph, in the order of its operations.
#[derive(Debug)]
pub(in crate::checkpoint) struct Facts {
    /// Rows and columns of the image, if they are fixed.
    pub(in crate::checkpoint) size: Option<[usize; 2]>,
    /// How 8-bit samples become the network's numbers.
    pub(in crate::checkpoint) samples: Option<Samples>,
    /// The arithmetic before the first convolution.
    pub(in crate::checkpoint) affine: Option<Affine>,
    /// Epsilon of batch normalisation. `None`: it is folded into the convolutions.
    pub(in crate::checkpoint) epsilon: Option<f64>,
    /// The activation after each convolution, if there is one.
    pub(in crate::checkpoint) activations: Vec<Option<String>>,
    /// Kernel, stride and padding of each convolution.
    pub(in crate::checkpoint) windows: Vec<ConvGeometry>,
    /// Window of the pool. `None`: the whole map.
    pub(in crate::checkpoint) pool: Option<[usize; 2]>,
}
