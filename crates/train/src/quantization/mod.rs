//! Training for 8-bit integers: settings, and the ranges of the activations that it learns. This is
//! `create_training_graph` of TensorFlow 1's `contrib/quantize`, which slim's `--quantize` calls.

mod network;
mod ranges;
mod settings;

pub use network::FakeQuantizedNetwork;
pub use ranges::ActivationRanges;
pub use settings::{FROM_SCRATCH_DELAY, Quantization, Scheme};
