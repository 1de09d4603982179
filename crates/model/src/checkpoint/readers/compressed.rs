//! Decodes the weights of our compressed safetensors (`checkpoint/coded`), block by block, so that
//! nothing is allocated beside the weights themselves.

use std::collections::BTreeSet;
use std::io::Read;

use flate2::read::ZlibDecoder;
use half::bf16;
use mobilenet_arrays::quantized::append_levels;
use safetensors::SafeTensors;

use super::{Budget, NamedTensors, RawTensor, ReadError, volume};
use crate::array::Values;
use crate::checkpoint::coded::{CODES, Coding, Entry, Levels, PALETTE, SCALE};

/// Symbols that are decoded at a time.
const BLOCK: usize = 4096;
/// Bytes in memory of one byte of the header's entry, at most.
const ENTRY_FACTOR: u64 = 16;

/// The entry of the header as it was written.
pub(super) fn parse(entry: &str, budget: &mut Budget) -> Result<Coding, ReadError> {
    budget.take("compression", ENTRY_FACTOR * entry.len() as u64)?;
    serde_json::from_str(entry).map_err(|error| ReadError::malformed("compression", error))
}

/// Decodes the tensors of an entry into `named`. Returns the names of their parts.
pub(super) fn read(
    file: &SafeTensors<'_>,
    coding: Coding,
    budget: &mut Budget,
    named: &mut NamedTensors,
) -> Result<BTreeSet<String>, ReadError> {
    let mut parts = BTreeSet::new();
    for (name, entry) in coding.tensors {
        let values = decode(file, &name, &entry, budget)?;
        parts.extend([CODES, SCALE, PALETTE].map(|part| format!("{name}{part}")));
        let tensor = RawTensor::new(
            &coding.method,
            entry.shape,
            Some(Values::F32(values.into())),
        );
        named.insert(name, tensor)?;
    }
    Ok(parts)
}

fn decode(
    file: &SafeTensors<'_>,
    name: &str,
    entry: &Entry,
    budget: &mut Budget,
) -> Result<Vec<f32>, ReadError> {
    let problem = |text: String| ReadError::tensor(name, text);
    let count = volume(name, &entry.shape)?;
    let channels = entry.shape.first().copied().unwrap_or(0);
    if count == 0 || channels == 0 {
        return Err(problem(format!(
            "a coded tensor of shape {:?}",
            entry.shape
        )));
    }
    let scales = part(file, name, SCALE, safetensors::Dtype::BF16)?;
    let (scales, _) = scales.as_chunks::<2>();
    if scales.len() != channels {
        let found = scales.len();
        return Err(problem(format!("{found} scales, expected {channels}")));
    }
    let (levels, meant) = levels(file, name, entry)?.table();
    budget.take(name, (count as u64).saturating_mul(4))?;
    let codes = part(file, name, CODES, safetensors::Dtype::U8)?;
    let mut symbols = Symbols {
        decoder: ZlibDecoder::new(codes),
        name,
    };
    let per_channel = count / channels;
    let mut values = Vec::with_capacity(count);
    let mut block = [0; BLOCK];
    for (channel, scale) in scales.iter().enumerate() {
        let scale = bf16::from_le_bytes(*scale).to_f32();
        if !scale.is_finite() {
            return Err(problem(format!("scale {channel} is {scale}")));
        }
        let mut left = per_channel;
        while left > 0 {
            let block = symbols.fill(block.get_mut(..left.min(BLOCK)).unwrap_or_default())?;
            left -= block.len();
            if let Some(symbol) = block.iter().find(|&&symbol| usize::from(symbol) >= meant) {
                return Err(problem(format!("symbol {symbol} is not in its palette")));
            }
            append_levels(block, &levels, scale, &mut values);
        }
    }
    symbols.end()?;
    Ok(values)
}

/// The bytes of a part of a coded tensor.
fn part<'a>(
    file: &SafeTensors<'a>,
    name: &str,
    ending: &str,
    dtype: safetensors::Dtype,
) -> Result<&'a [u8], ReadError> {
    let part = format!("{name}{ending}");
    let view = file
        .tensor(&part)
        .map_err(|_| ReadError::tensor(&part, "is missing"))?;
    let (found, shape) = (view.dtype(), view.shape());
    if found != dtype || shape.len() != 1 {
        let text = format!("{found:?} of shape {shape:?}, expected {dtype:?} with one axis");
        return Err(ReadError::tensor(part, text));
    }
    Ok(view.data())
}

fn levels(file: &SafeTensors<'_>, name: &str, entry: &Entry) -> Result<Levels, ReadError> {
    if let Some(zero) = entry.zero {
        return Ok(Levels::Integers { zero });
    }
    let bytes = part(file, name, PALETTE, safetensors::Dtype::F32)?;
    let (values, _) = bytes.as_chunks::<4>();
    if values.is_empty() || values.len() > 256 {
        let text = format!("a palette of {} values, expected 1 to 256", values.len());
        return Err(ReadError::tensor(name, text));
    }
    let palette: Vec<f32> = values.iter().map(|b| f32::from_le_bytes(*b)).collect();
    match palette.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(ReadError::tensor(name, format!("{value} in its palette"))),
        None => Ok(Levels::Palette(palette)),
    }
}

/// The symbols of a stream, which must be as many as the shape says.
struct Symbols<'a> {
    decoder: ZlibDecoder<&'a [u8]>,
    name: &'a str,
}

impl Symbols<'_> {
    fn fill<'b>(&mut self, block: &'b mut [u8]) -> Result<&'b mut [u8], ReadError> {
        match self.decoder.read_exact(block) {
            Ok(()) => Ok(block),
            Err(error) => Err(ReadError::tensor(self.name, format!("codes: {error}"))),
        }
    }

    /// Checks that the stream ends, which also compares its checksum.
    fn end(mut self) -> Result<(), ReadError> {
        match self.decoder.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(ReadError::tensor(
                self.name,
                "more symbols than its shape has",
            )),
            Err(error) => Err(ReadError::tensor(self.name, format!("codes: {error}"))),
        }
    }
}
