//! NumPy's array files, `.npy`. An `.npz` is a zip of such files.
//!
//! ```text
//! "\x93NUMPY", version (2 bytes), length of the header (2 bytes, from version 2 on 4),
//! {'descr': '<f4', 'fortran_order': False, 'shape': (3, 3, 3, 32), }, values
//! ```
//!
//! NumPy always writes the header in this form, so we only search it for the three keys. A parser
//! for general Python literals would be recursive, and deep brackets could overflow its stack.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::array::Array;
use crate::file::write_atomically;

/// An error of reading or writing an array.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not an array that we support.
    #[error("{path}: {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// An array's header, and the bytes of its values.
#[derive(Debug)]
pub struct Npy<'a> {
    /// NumPy's name of the dtype, for example `<f4`.
    pub descr: &'a str,
    /// Whether the first axis is contiguous instead of the last.
    pub fortran_order: bool,
    /// The shape, outermost axis first.
    pub shape: Vec<usize>,
    /// The bytes of the values.
    pub values: &'a [u8],
}

impl<'a> Npy<'a> {
    /// The header and the values of a whole file.
    ///
    /// # Errors
    /// A sentence, if NumPy does not write such bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let (header, values) =
            split(bytes).ok_or_else(|| "it does not begin as NumPy's arrays do".to_string())?;
        let broken = || {
            let shown: String = header.chars().take(80).collect();
            format!("a header that NumPy does not write: {shown:?}")
        };
        let descr = after(header, "'descr':")
            .and_then(|rest| rest.strip_prefix('\'')?.split_once('\''))
            .map(|(descr, _)| descr);
        let order = after(header, "'fortran_order':");
        let shape = after(header, "'shape':")
            .and_then(|rest| rest.strip_prefix('(')?.split_once(')'))
            .and_then(|(sizes, _)| {
                let sizes = sizes.split(',').map(str::trim).filter(|s| !s.is_empty());
                sizes.map(|size| size.parse().ok()).collect()
            });
        Ok(Self {
            descr: descr.ok_or_else(broken)?,
            fortran_order: order.ok_or_else(broken)?.starts_with("True"),
            shape: shape.ok_or_else(broken)?,
            values,
        })
    }
}

/// Header, and bytes of the values.
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

/// The part of the header after a key.
fn after<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    header.split_once(key).map(|(_, rest)| rest.trim_start())
}

/// Types of an array's values.
pub trait NpyValue: Copy {
    /// NumPy's name of the dtype.
    const DESCR: &'static str;

    /// The value of `size_of::<Self>()` bytes.
    fn from_le(bytes: &[u8]) -> Self;

    /// The bytes of the value.
    fn to_le(self) -> impl IntoIterator<Item = u8>;
}

macro_rules! npy_value {
    ($($type:ty, $descr:literal;)*) => {$(
        impl NpyValue for $type {
            const DESCR: &'static str = $descr;

            fn from_le(bytes: &[u8]) -> Self {
                bytes.first_chunk().map_or_else(Self::default, |b| Self::from_le_bytes(*b))
            }

            fn to_le(self) -> impl IntoIterator<Item = u8> {
                self.to_le_bytes()
            }
        }
    )*};
}
npy_value! {
    f32, "<f4";
    u8, "|u1";
    i8, "|i1";
}

/// Bytes that hold any header, and bytes that are read at a time.
const CHUNK: u64 = 1 << 17;

/// Reads an array of f32. Its shape is believed only as far as the file reaches; beside its values
/// this takes little memory.
///
/// # Errors
/// If the file cannot be read, or is not an array of f32 in row-major order.
pub fn read(path: &Path) -> Result<Array, NpyError> {
    read_as(path)
}

/// [`read`] for other types of values.
///
/// # Errors
/// As [`read`].
pub fn read_as<T: NpyValue>(path: &Path) -> Result<Array<T>, NpyError> {
    let io = |source| NpyError::Io {
        path: path.to_path_buf(),
        source,
    };
    let mut file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let array = from_reader(&mut file, length).map_err(io)?;
    array.map_err(|problem| NpyError::Content {
        path: path.to_path_buf(),
        problem,
    })
}

/// An array from a file that should be `length` bytes long; a sentence where it is none.
fn from_reader<T: NpyValue>(
    file: &mut impl Read,
    length: u64,
) -> std::io::Result<Result<Array<T>, String>> {
    let mut start = Vec::new();
    file.by_ref().take(CHUNK).read_to_end(&mut start)?;
    let (shape, first) = match header_of::<T>(&start) {
        Ok(Npy { shape, values, .. }) => (shape, values),
        Err(problem) => return Ok(Err(problem)),
    };
    let name = dtype_name(T::DESCR).unwrap_or(T::DESCR);
    let too_short =
        |held: usize| format!("shape {shape:?} of {name} needs more than the file's {held} bytes");
    let mut held = first.len();
    let count = shape
        .iter()
        .try_fold(1usize, |count, &size| count.checked_mul(size));
    let Some(count) = count else {
        return Ok(Err(too_short(held)));
    };
    let there = usize::try_from(length / size_of::<T>() as u64).unwrap_or(usize::MAX);
    let mut values: Vec<T> = Vec::with_capacity(count.min(there));
    let mut bytes = first.to_vec();
    while values.len() < count {
        let whole = bytes.chunks_exact(size_of::<T>());
        let rest = whole.remainder().to_vec();
        values.extend(whole.take(count - values.len()).map(T::from_le));
        bytes = rest;
        let more = file.by_ref().take(CHUNK).read_to_end(&mut bytes)?;
        if more == 0 && values.len() < count {
            return Ok(Err(too_short(held)));
        }
        held += more;
    }
    Ok(Array::new(shape, values).map_err(|error| error.to_string()))
}

/// The name that people use for a dtype.
fn dtype_name(descr: &str) -> Option<&'static str> {
    Some(match descr.trim_start_matches(['<', '>', '|', '=']) {
        "u1" => "u8",
        "i1" => "i8",
        "i4" => "i32",
        "i8" => "i64",
        "f2" => "f16",
        "f4" => "f32",
        "f8" => "f64",
        _ => return None,
    })
}

/// NumPy's name of a dtype, after the name that people use, if it has one.
fn dtype_in_words(descr: &str) -> String {
    match dtype_name(descr) {
        Some(name) => format!("{name} ({descr})"),
        None => descr.to_string(),
    }
}

/// The header of an array of such values in row-major order.
fn header_of<T: NpyValue>(bytes: &[u8]) -> Result<Npy<'_>, String> {
    let npy = Npy::parse(bytes)?;
    if npy.descr != T::DESCR {
        return Err(format!(
            "expected {} values ({}), found {}",
            dtype_name(T::DESCR).unwrap_or(T::DESCR),
            T::DESCR,
            dtype_in_words(npy.descr)
        ));
    }
    if npy.fortran_order {
        let remedy = "save it with numpy.ascontiguousarray";
        return Err(format!("the array is in Fortran order; {remedy}"));
    }
    Ok(npy)
}

/// Writes an array of f32 atomically.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, array: &Array) -> Result<(), NpyError> {
    write_as(path, array)
}

/// [`write()`] for other types of values.
///
/// # Errors
/// As [`write()`].
pub fn write_as<T: NpyValue>(path: &Path, array: &Array<T>) -> Result<(), NpyError> {
    let sizes: String = array
        .shape()
        .iter()
        .map(|size| format!("{size}, "))
        .collect();
    let sizes = match array.shape() {
        // A tuple of one element needs its comma.
        [_] => sizes.trim_end(),
        _ => sizes.trim_end_matches(", "),
    };
    let descr = T::DESCR;
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
    // Values begin at a multiple of 64 bytes. Before the header are 10 bytes, after it a newline.
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.into_bytes());
    bytes.extend(array.values().iter().flat_map(|value| value.to_le()));
    write_atomically(path, &bytes).map_err(|source| NpyError::Io {
        path: path.to_path_buf(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_bytes(bytes: &[u8]) -> Result<Array, String> {
        from_reader(&mut &bytes[..], bytes.len() as u64).unwrap()
    }

    #[test]
    fn arrays_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("array.npy");
        for shape in [&[][..], &[5], &[2, 3, 4], &[0, 3], &[70_001]] {
            let count: usize = shape.iter().product();
            let values = (0..count).map(|i| i as f32 - 1.5).collect();
            let array = Array::new(shape, values).unwrap();
            write(&path, &array).unwrap();
            assert_eq!(read(&path).unwrap(), array);
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!((bytes.len() - 4 * count) % 64, 0);
        }
        let array = Array::new([2, 3], vec![0u8, 1, 127, 128, 254, 255]).unwrap();
        write_as(&path, &array).unwrap();
        assert_eq!(read_as::<u8>(&path).unwrap(), array);
        let error = read_as::<i8>(&path).unwrap_err().to_string();
        assert!(
            error.contains("expected i8 values (|i1), found u8 (|u1)"),
            "{error}"
        );
    }

    #[test]
    fn what_numpy_writes_is_read() {
        // Output of `numpy.save` for `numpy.array([[1, 2]], numpy.float32)` by NumPy 2.
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(format!("{header:<117}\n").into_bytes());
        bytes.extend([0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]);
        let array = from_bytes(&bytes).unwrap();
        assert_eq!(
            (array.shape(), array.values()),
            (&[1, 2][..], &[1.0, 2.0][..])
        );
        for (from, to, expected) in [
            ("<f4", "<f8", "expected f32"),
            ("False", "True ", "ascontiguousarray"),
            ("(1, 2)", "(1, 9)", "needs more than the file's 8 bytes"),
            ("(1, 2)", "(1, x)", "does not write"),
            ("descr", "descx", "does not write"),
            ("NUMPY", "numpy", "does not begin"),
        ] {
            let text: Vec<u8> = bytes.clone();
            let at = text.windows(from.len()).position(|w| w == from.as_bytes());
            let mut text = text;
            text[at.unwrap()..][..to.len()].copy_from_slice(to.as_bytes());
            let error = from_bytes(&text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
