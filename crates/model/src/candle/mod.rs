//! The network on candle: every layer a tensor, trainable, on any device. Behind the feature
//! `candle`; nothing else in this crate needs a framework.
//!
//! | file | what |
//! |---|---|
//! | `mobilenet_v1` | slim's `mobilenet_v1_base` and `mobilenet_v1` |
//! | `endpoints` | activations of a run, by name |
//! | `dropout` | dropout with a seed |
//! | `convert` | our arrays and checkpoints -> candle's tensors |

mod convert;
mod dropout;
mod endpoints;
mod mobilenet_v1;

pub use convert::var_builder;
pub use dropout::Dropout;
pub use endpoints::Endpoints;
pub use mobilenet_v1::{MobileNetV1, MobileNetV1Base};
