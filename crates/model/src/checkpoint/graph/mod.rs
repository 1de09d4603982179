//! Networks that come as a graph (ONNX, TFLite, Keras' descriptions): parameters are found by
//! following the operations, and the operations say what a network of names has to be told.
//!
//! | file | what |
//! |---|---|
//! | `walk` | the chain of operations, followed |
//! | `affine` | what is done to the image first |
//! | `order` | which tensor is which parameter |
//! | `facts` | what else the graph says |
//! | `describe` | that as metadata |

mod affine;
mod describe;
mod facts;
mod order;
mod walk;

pub(super) use describe::{activation, apply, padding};
pub(super) use facts::Facts;
pub(super) use order::follow;
