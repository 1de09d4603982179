//! Writes TFLite files that LiteRT runs.
//!
//! | file | content |
//! |---|---|
//! | `float` | the graph of a checkpoint, in f32 |
//! | `integer` | the graph of a network of integers |
//! | `chain` | builds a graph, operator by operator |
//! | `schema` | the tables of a file, and their encoding |

mod chain;
mod float;
mod integer;
mod schema;

use std::path::Path;

use mobilenet_kernels::integer::IntegerNetwork;
use schema::Model;

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::metadata::Metadata;
use crate::checkpoint::model::Checkpoint;
use crate::file::write_atomically;

/// Writes a checkpoint as TFLite, in f32.
///
/// The input `pixels` is the preprocessed image, `[1, rows, columns, channels]`, with the
/// checkpoint's image size. The output is `Predictions`, the probabilities `[1, classes]`, or
/// `features` `[1, channels]` without a classifier. Batch normalisation is folded into the weights.
/// Our metadata is included. An existing file is replaced atomically.
///
/// # Errors
/// If the image size does not suit the network, or the file cannot be written.
pub fn save_tflite(path: &Path, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
    write(path, float::model(checkpoint))
}

/// Writes a network of integers as TFLite, layer by layer as it is described, with its metadata. An
/// existing file is replaced atomically.
///
/// # Errors
/// If the network breaks the rules of networks of integers or does what TFLite cannot express, or
/// the file cannot be written.
pub fn save_integer_tflite(
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
    let bytes = model.and_then(|model| model.encode()).map_err(failed)?;
    write_atomically(path, &bytes).map_err(|error| failed(error.to_string()))
}
