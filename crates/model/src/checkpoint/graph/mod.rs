//! Networks given as a graph (ONNX, TFLite, Keras' descriptions). Parameters are found by following
//! the operations. The operations also tell what other files leave out, such as activations.
//!
//! | file | content |
//! |---|---|
//! | `walk` | follows the chain of operations |
//! | `affine` | arithmetic on the image before the first convolution |
//! | `order` | which tensor is which parameter |
//! | `facts` | what else the graph says |
//! | `describe` | these facts as metadata |
//! | `convolutions` | of networks that are no chain: which convolution reads which |

mod affine;
mod convolutions;
mod describe;
mod facts;
mod order;
mod walk;

pub use convolutions::{Convolutions, GraphConvolution, convolutions};
pub(super) use describe::{activation, apply, padding};
pub(super) use facts::Facts;
pub(super) use order::follow;
