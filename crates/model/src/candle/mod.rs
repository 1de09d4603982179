//! The network on candle: every activation is a tensor, trainable, on any device. It needs the
//! feature `candle`. The rest of this crate needs no framework.
//!
//! | file | content |
//! |---|---|
//! | `mobilenet_v1` | slim's `mobilenet_v1_base` and `mobilenet_v1` |
//! | `prior_network` | SqueezeNet, Xception and other networks of [`crate::prior_work`] |
//! | `endpoints` | activations of a forward pass, by name |
//! | `dropout` | dropout with a seed |
//! | `convert` | our arrays and checkpoints as candle's tensors |

mod convert;
mod dropout;
mod endpoints;
mod mobilenet_v1;
mod prior_network;

pub use convert::var_builder;
pub use dropout::Dropout;
pub use endpoints::Endpoints;
pub use mobilenet_v1::{MobileNetV1, MobileNetV1Base};
pub use prior_network::PriorNetwork;
