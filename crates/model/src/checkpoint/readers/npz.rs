//! NumPy's npz: a zip of `<name>.npy`, each an array behind a header in Python's notation.
//!
//! ```text
//! "\x93NUMPY", version (2 bytes), length of the header (2 bytes, from version 2 on 4),
//! {'descr': '<f4', 'fortran_order': False, 'shape': (3, 3, 3, 32), }, values
//! ```
//!
//! The header is always written in this form. It is searched for its three entries; a parser of
//! all that Python could say here would be recursive, and fall for brackets.

use std::io::Cursor;

use candle_core::DType;
use zip::ZipArchive;

use super::{Budget, NamedTensors, RawTensor, from_le_bytes, zip_entry};
use crate::checkpoint::error::ReadError;

const EXTENSION: &str = ".npy";

/// Whether it is a zip whose first file is an array.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    // A zip begins with its first file: 26 bytes, the length of the name, another length, the name.
    let name = bytes
        .strip_prefix(b"PK\x03\x04")
        .and_then(|rest| rest.get(22..24).zip(rest.get(26..)))
        .and_then(|(length, rest)| {
            rest.get(..usize::from(u16::from_le_bytes([length[0], length[1]])))
        });
    name.is_some_and(|name| name.ends_with(EXTENSION.as_bytes()))
}

pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Result<NamedTensors, ReadError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| ReadError::malformed("zip directory", error))?;
    let mut files: Vec<String> = archive
        .file_names()
        .filter_map(Result::ok)
        .filter(|name| name.ends_with(EXTENSION))
        .map(|name| name.to_string())
        .collect();
    files.sort();
    let mut named = NamedTensors::default();
    for file in files {
        let array = zip_entry::entry(&mut archive, &file, budget)?;
        let name = file.trim_end_matches(EXTENSION).to_string();
        let tensor = read_array(&name, &array, budget)?;
        named.insert(name, tensor)?;
    }
    Ok(named)
}

fn read_array(name: &str, bytes: &[u8], budget: &mut Budget) -> Result<RawTensor, ReadError> {
    let error = |problem: String| ReadError::tensor(name, problem);
    let (header, values) =
        split(bytes).ok_or_else(|| error("it does not begin as NumPy's arrays do".to_string()))?;
    let broken = || {
        let shown: String = header.chars().take(80).collect();
        error(format!("a header that NumPy does not write: {shown:?}"))
    };
    let dtype = after(header, "'descr':")
        .and_then(|rest| rest.strip_prefix('\'')?.split_once('\''))
        .map(|(dtype, _)| dtype)
        .ok_or_else(broken)?;
    let fortran = after(header, "'fortran_order':").ok_or_else(broken)?;
    let fortran = fortran.starts_with("True");
    let shape = after(header, "'shape':")
        .and_then(|rest| rest.strip_prefix('(')?.split_once(')'))
        .and_then(|(sizes, _)| {
            let sizes = sizes.split(',').map(str::trim).filter(|s| !s.is_empty());
            sizes.map(|size| size.parse().ok()).collect()
        });
    let shape: Vec<usize> = shape.ok_or_else(broken)?;
    let parsed = match dtype {
        "<f2" => Some(DType::F16),
        "<f4" => Some(DType::F32),
        "<f8" => Some(DType::F64),
        ">f2" | ">f4" | ">f8" => {
            return Err(error(format!(
                "big-endian values ({dtype}) are not supported"
            )));
        }
        _ => None,
    };
    let values = match parsed {
        None => None,
        Some(parsed) if fortran => {
            // The first axis runs fastest: the transpose of the reversed shape.
            let reversed: Vec<usize> = shape.iter().rev().copied().collect();
            let axes: Vec<usize> = (0..shape.len()).rev().collect();
            let tensor = from_le_bytes(name, values, parsed, &reversed, budget)?;
            budget.take(name, values.len() as u64)?;
            let tensor = tensor.permute(axes).and_then(|tensor| tensor.contiguous());
            Some(tensor.map_err(|problem| error(problem.to_string()))?)
        }
        Some(parsed) => Some(from_le_bytes(name, values, parsed, &shape, budget)?),
    };
    Ok(RawTensor {
        dtype: dtype.to_string(),
        shape,
        values,
    })
}

/// Header and values.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (length, rest) = match version[0] {
        1 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
        }
        _ => return None,
    };
    let (header, values) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?, values))
}

/// What stands behind a key.
fn after<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    header.split_once(key).map(|(_, rest)| rest.trim_start())
}
