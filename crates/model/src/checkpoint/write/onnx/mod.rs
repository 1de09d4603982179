//! Writes ONNX files, for other engines.

mod float;
mod graph;
mod integer;
mod messages;

use std::path::Path;

use messages::Model;
use mobilenet_kernels::integer::IntegerNetwork;
use prost::Message;

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::metadata::Metadata;
use crate::checkpoint::model::Checkpoint;
use crate::file::write_atomically;

/// Writes a checkpoint as ONNX.
///
/// The input `pixels` is the preprocessed image, `[N, channels, rows, columns]`, with the
/// checkpoint's image size and any batch size. The output is `logits` `[N, classes]`, or `features`
/// `[N, channels]` without a classifier. Our metadata is included. An existing file is replaced
/// atomically.
///
/// # Errors
/// If the head does not average the whole map, or the file cannot be written.
pub fn save_onnx(path: &Path, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
    write(path, float::model(checkpoint))
}

/// Writes a network of integers as ONNX with nodes that quantise and dequantise (QDQ), opset 13.
/// Engines compute it in integers.
///
/// The input `pixels` is the image as numbers, after the preprocessing of `metadata`, `[N, channels,
/// rows, columns]`. The output is `logits` `[N, classes]`, or `features` `[N, channels]` without a
/// classifier, as numbers. Our metadata is included. An existing file is replaced atomically.
///
/// # Errors
/// If the network breaks the rules of networks of integers or does what these nodes cannot express,
/// or the file cannot be written.
pub fn save_integer_onnx(
    path: &Path,
    network: &IntegerNetwork,
    metadata: &Metadata,
) -> Result<(), CheckpointError> {
    write(path, integer::model(network, metadata))
}

fn write(path: &Path, model: Result<Model, String>) -> Result<(), CheckpointError> {
    let failed = |problem: String| CheckpointError::Write {
        path: path.to_path_buf(),
        problem,
    };
    let bytes = model.map_err(failed)?.encode_to_vec();
    write_atomically(path, &bytes).map_err(|error| failed(error.to_string()))
}
