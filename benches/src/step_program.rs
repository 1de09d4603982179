//! A program of one layer or separable block, for measuring it alone.

use std::sync::Arc;

use mobilenet::kernels::KernelError;
use mobilenet::kernels::inference::{
    ImageLayout, Output, PackedWeights, Pooling, Program, ProgramConfig,
};
use mobilenet::kernels::simd::Isa;
use mobilenet::model::fold::FoldedLayer;
use mobilenet::ops::Activation;

/// A program of `layers` for one `side` x `side` image on one thread. It begins with a copy of its
/// input, which costs time. Its output is one pixel, so that writing it costs nothing.
///
/// # Errors
/// If the layers do not fit each other or the image.
pub fn step_program(isa: Isa, layers: &[FoldedLayer], side: usize) -> Result<Program, KernelError> {
    let packed: Vec<_> = layers
        .iter()
        .map(|layer| layer.as_kernel(Activation::Relu6))
        .collect();
    let network = PackedWeights::new(isa, &packed, None)?;
    let config = ProgramConfig {
        height: side,
        width: side,
        geometries: layers.iter().map(|layer| layer.layer.geometry).collect(),
        outputs: vec![Output::Features],
        pooling: Pooling::Window([1, 1]),
        layout: ImageLayout::Nhwc,
        threads: 1,
        normalization: None,
    };
    Program::new(Arc::new(network), &config)
}
