//! Writes files: safetensors with our names or those of a framework, ONNX, and
//! TFLite.

mod onnx;
mod onnx_messages;
mod safetensors;
mod tflite;

pub use onnx::save_onnx;
pub use safetensors::{WeightsDtype, save, save_as};
pub use tflite::save_tflite;
