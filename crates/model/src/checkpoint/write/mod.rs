//! Writes files: safetensors with our names or those of a framework, and ONNX.

mod onnx;
mod onnx_messages;
mod safetensors;

pub use onnx::save_onnx;
pub use safetensors::{WeightsDtype, save, save_as};
