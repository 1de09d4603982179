//! Loads a quantised file as a network of integers. Metadata comes without the numbers that weights
//! mean.

use std::path::Path;

use mobilenet_kernels::integer::IntegerNetwork;

use super::describe::metadata_of;
use super::error::CheckpointError;
use super::integer_structure::KEY;
use super::load::{read_file, read_tensors, unknown_format};
use super::locate::locate;
use super::metadata::Metadata;
use super::options::LoadOptions;
use super::readers::{
    Format, NamedTensors, ReadError, ReadLimits, has_entry, has_integers, onnx_has_integers,
    read_integers, read_outline,
};
use super::{integer_graph, integer_ranges, integer_tensors};

/// A network of integers, and what its file says beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedCheckpoint {
    /// The network.
    pub network: IntegerNetwork,
    /// Width, classes, preprocessing, labels, source.
    pub metadata: Metadata,
}

/// Whether a file's network computes in 8-bit integers: TFLite, ONNX (operators on integers, or
/// nodes that quantise activations), or our own safetensors. Files whose weights alone are
/// quantised, or of another format, do not.
///
/// # Errors
/// If the file cannot be read or is broken.
pub fn is_quantized(path: &Path, limits: ReadLimits) -> Result<bool, CheckpointError> {
    let path = &locate(path)?;
    let bytes = read_file(path, limits)?;
    let found = match Format::detect(&bytes) {
        Some(Format::Tflite) => has_integers(&bytes, limits),
        Some(Format::Onnx) => onnx_has_integers(&bytes),
        Some(Format::Safetensors) => Ok(has_entry(&bytes, KEY)),
        _ => Ok(false),
    };
    found.map_err(|source| unread(path, source))
}

/// Loads a quantised file as integers: those of [`is_quantized`], and TensorFlow's graphs and
/// checkpoints with the ranges of fake quantisation. ([`load`](super::load) reads the same file as
/// the numbers that its integers mean.)
///
/// # Errors
/// If the file cannot be read, is broken, is of another format, or is not quantised.
pub fn load_integers(path: &Path, limits: ReadLimits) -> Result<IntegerNetwork, CheckpointError> {
    let path = &locate(path)?;
    let bytes = read_file(path, limits)?;
    match Format::detect(&bytes) {
        // It need not be a MobileNetV1.
        Some(Format::Tflite) => {
            read_integers(&bytes, limits).map_err(|source| unread(path, source))
        }
        format => load_other(path, format, limits).map(|checkpoint| checkpoint.network),
    }
}

/// [`load_integers`] with the file's metadata.
///
/// # Errors
/// As [`load_integers`], and if the network is no MobileNetV1.
pub fn load_quantized(
    path: &Path,
    limits: ReadLimits,
) -> Result<QuantizedCheckpoint, CheckpointError> {
    let path = &locate(path)?;
    let bytes = read_file(path, limits)?;
    match Format::detect(&bytes) {
        Some(Format::Tflite) => load_tflite(path, &bytes, limits),
        format => load_other(path, format, limits),
    }
}

/// [`load_quantized`] for a file's bytes, for example weights embedded in a program. `name` is the
/// file's name in errors.
///
/// # Errors
/// As [`load_quantized`], and for formats of several files.
pub fn load_quantized_bytes(
    name: &str,
    bytes: &[u8],
    limits: ReadLimits,
) -> Result<QuantizedCheckpoint, CheckpointError> {
    let path = Path::new(name);
    match Format::detect(bytes) {
        Some(Format::Tflite) => load_tflite(path, bytes, limits),
        Some(format) => {
            let file = format.read(bytes, limits);
            let file = file.map_err(|source| unread(path, source))?;
            of_tensors(path, file, Some(format), &with_limits(limits))
        }
        None => Err(unknown_format(path, bytes)),
    }
}

fn with_limits(limits: ReadLimits) -> LoadOptions {
    LoadOptions {
        limits,
        ..LoadOptions::default()
    }
}

fn load_tflite(
    path: &Path,
    bytes: &[u8],
    limits: ReadLimits,
) -> Result<QuantizedCheckpoint, CheckpointError> {
    let failed = |source| unread(path, source);
    let mut outline = read_outline(bytes, limits).map_err(failed)?;
    Ok(QuantizedCheckpoint {
        metadata: metadata_of(path, &mut outline, &with_limits(limits))?,
        network: read_integers(bytes, limits).map_err(failed)?,
    })
}

/// Loads a file that is not TFLite.
fn load_other(
    path: &Path,
    format: Option<Format>,
    limits: ReadLimits,
) -> Result<QuantizedCheckpoint, CheckpointError> {
    let options = with_limits(limits);
    of_tensors(path, read_tensors(path, &options)?, format, &options)
}

fn of_tensors(
    path: &Path,
    mut file: NamedTensors,
    format: Option<Format>,
    options: &LoadOptions,
) -> Result<QuantizedCheckpoint, CheckpointError> {
    if holds_integers(&file) {
        let metadata = metadata_of(path, &mut file, options)?;
        let network = integers_of(&file, metadata.preprocessing.size);
        let network = network.map_err(|source| unread(path, source))?;
        return Ok(QuantizedCheckpoint { network, metadata });
    }
    if let Some(ranges) = integer_ranges::Ranges::of(&file) {
        return integer_ranges::freeze(path, file, &ranges, options)
            .map(|(network, metadata)| QuantizedCheckpoint { network, metadata });
    }
    let found = format.map_or("another format".to_string(), |format| format.to_string());
    let problem = format!(
        "no network of integers: expected quantised TFLite or ONNX, our own safetensors of \
         integers, or ranges of fake quantisation, found {found} (`mobilenet quantize` makes \
         integers of floats)"
    );
    Err(unread(path, ReadError::malformed("format", problem)))
}

fn holds_integers(file: &NamedTensors) -> bool {
    file.metadata.contains_key(KEY) || integer_graph::is_quantized(file)
}

/// The network of integers of our safetensors or of an ONNX file, for images of `size` where the
/// file leaves it open.
///
/// # Errors
/// If the file has none, or one that cannot be computed.
pub fn integers_of(file: &NamedTensors, size: [usize; 2]) -> Result<IntegerNetwork, ReadError> {
    match integer_graph::is_quantized(file) {
        true => integer_graph::network(file, size),
        false => integer_tensors::network(file),
    }
}

fn unread(path: &Path, source: ReadError) -> CheckpointError {
    CheckpointError::Read {
        path: path.to_path_buf(),
        source,
    }
}
