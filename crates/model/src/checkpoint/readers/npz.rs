//! NumPy's npz: a zip of `<name>.npy`, each an array in the format of [`crate::npy`].

use std::io::Cursor;

use zip::ZipArchive;

use super::{Budget, NamedTensors, RawTensor, ReadError, from_le_bytes, zip_entry};
use crate::array::Dtype;
use crate::npy::Npy;

const EXTENSION: &str = ".npy";

/// Whether it is a zip whose first file is an array.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    // A zip begins with its first file: 26 bytes, length of the name, another length, the name.
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
    let Npy {
        descr: dtype,
        fortran_order: fortran,
        shape,
        values,
    } = Npy::parse(bytes).map_err(error)?;
    let parsed = match dtype {
        "<f2" => Some(Dtype::F16),
        "<f4" => Some(Dtype::F32),
        "<f8" => Some(Dtype::F64),
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
            // In Fortran order the first axis is contiguous: the transpose of the reversed shape.
            let reversed: Vec<usize> = shape.iter().rev().copied().collect();
            let axes: Vec<usize> = (0..shape.len()).rev().collect();
            let tensor = from_le_bytes(name, values, parsed, &reversed, budget)?;
            budget.take(name, values.len() as u64)?;
            let tensor = tensor.permute(&reversed, &axes);
            Some(tensor.map_err(|problem| error(problem.to_string()))?)
        }
        Some(parsed) => Some(from_le_bytes(name, values, parsed, &shape, budget)?),
    };
    Ok(RawTensor::new(dtype, shape, values))
}
