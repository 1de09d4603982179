//! Writes files: safetensors with our names or those of a framework, ONNX, and
//! TFLite.

mod compressed_safetensors;
mod integer_safetensors;
mod onnx;
mod safetensors;
mod tflite;

pub use compressed_safetensors::save_compressed;
pub use integer_safetensors::save_integer_safetensors;
pub use onnx::{save_integer_onnx, save_onnx};
pub use safetensors::{WeightsDtype, save, save_as};
pub use tflite::{save_integer_tflite, save_tflite};
