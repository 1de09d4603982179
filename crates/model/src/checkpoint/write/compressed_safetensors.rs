//! Writes compressed weights as safetensors: coded tensors in parts (`checkpoint/coded`), the others
//! as they are.

use std::path::Path;

use half::{bf16, f16};
use miniz_oxide::DataFormat;
use miniz_oxide::deflate::core::{
    CompressionStrategy, CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output,
};
use safetensors::Dtype;

use super::safetensors::Header;
use crate::checkpoint::coded::{
    CODES, CodedTensor, CodedTensors, Coding, Entry, KEY as CODING, Levels, PALETTE, SCALE,
};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::metadata::KEY;
use crate::checkpoint::model::Checkpoint;
use crate::file::write_atomically;
use crate::little_endian::bytes_of;

/// Of deflate's levels any but 0, which stores.
const LEVEL: u8 = 9;
/// Logarithm of the window. Every reader has room for it.
const WINDOW: u8 = 15;

/// Writes a network and its coded tensors, which stand for parameters of their names. Other
/// parameters are stored in f16 if that has them exactly, else in f32. The same network always gives
/// the same bytes. An existing file is replaced atomically.
///
/// # Errors
/// If the file cannot be written.
pub fn save_compressed(
    path: &Path,
    checkpoint: &Checkpoint,
    coded: &CodedTensors,
) -> Result<(), CheckpointError> {
    let failed = |problem: String| CheckpointError::Write {
        path: path.to_path_buf(),
        problem,
    };
    let bytes = serialize(checkpoint, coded).map_err(failed)?;
    write_atomically(path, &bytes).map_err(|error| failed(error.to_string()))
}

fn serialize(checkpoint: &Checkpoint, coded: &CodedTensors) -> Result<Vec<u8>, String> {
    let json = |error: serde_json::Error| error.to_string();
    let entry = |tensor: &CodedTensor| Entry {
        shape: tensor.shape.clone(),
        zero: match tensor.levels {
            Levels::Integers { zero } => Some(zero),
            Levels::Palette(_) => None,
        },
    };
    let tensors = coded.tensors.iter();
    let coding = Coding {
        method: coded.method.clone(),
        tensors: tensors.map(|(name, t)| (name.clone(), entry(t))).collect(),
    };
    let mut header = Header::new([
        (
            KEY,
            serde_json::to_string(&checkpoint.metadata).map_err(json)?,
        ),
        (CODING, serde_json::to_string(&coding).map_err(json)?),
    ]);
    // Four bytes a value first, then two, then one: all are aligned.
    let plain = checkpoint.parameters.iter();
    let plain = plain.filter(|(name, _)| !coded.tensors.contains_key(*name));
    let (halves, floats): (Vec<_>, Vec<_>) =
        plain.partition(|(_, tensor)| tensor.values().iter().all(|&v| is_half(v)));
    for (name, tensor) in floats {
        header.add(name, Dtype::F32, tensor.shape(), &bytes_of(tensor.values()));
    }
    for (name, tensor) in &coded.tensors {
        if let Levels::Palette(palette) = &tensor.levels {
            let name = format!("{name}{PALETTE}");
            header.add(&name, Dtype::F32, &[palette.len()], &bytes_of(palette));
        }
    }
    for (name, tensor) in halves {
        let values: Vec<f16> = tensor.values().iter().map(|&v| f16::from_f32(v)).collect();
        header.add(name, Dtype::F16, tensor.shape(), &bytes_of(&values));
    }
    for (name, tensor) in &coded.tensors {
        let scales: Vec<bf16> = tensor.scales.iter().map(|&v| bf16::from_f32(v)).collect();
        let name = format!("{name}{SCALE}");
        header.add(&name, Dtype::BF16, &[scales.len()], &bytes_of(&scales));
    }
    for (name, tensor) in &coded.tensors {
        let bytes = deflate(&tensor.symbols)?;
        header.add(&format!("{name}{CODES}"), Dtype::U8, &[bytes.len()], &bytes);
    }
    header.finish()
}

/// A zlib stream of Huffman codes alone: weights repeat little, and matches, which deflate otherwise
/// looks for, take 4 % more than they save.
fn deflate(symbols: &[u8]) -> Result<Vec<u8>, String> {
    let mut stream = Vec::new();
    let mut compressor = CompressorOxide::with_params(
        DataFormat::Zlib,
        LEVEL,
        CompressionStrategy::HuffmanOnly,
        WINDOW,
    );
    let (status, _) = compress_to_output(&mut compressor, symbols, TDEFLFlush::Finish, |bytes| {
        stream.extend_from_slice(bytes);
        true
    });
    match status {
        TDEFLStatus::Done => Ok(stream),
        status => Err(format!("cannot deflate: {status:?}")),
    }
}

fn is_half(value: f32) -> bool {
    f16::from_f32(value).to_f32().to_bits() == value.to_bits()
}
