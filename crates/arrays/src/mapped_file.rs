//! The bytes of a file, mapped into memory where that is possible. A map of a large file costs less
//! than a copy: the system need not find memory for it, and its pages are those of its file cache.
//!
//! Whoever changes a file in place while it is mapped changes the values that are read, and whoever
//! shortens it ends the program when it reads on. Programs that replace files, as this project's
//! own writers do, leave a map as it is.

use std::fs::File;
use std::io::{self, Read};
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use crate::buffer::Buffer;

/// Bytes of the smallest file that is mapped. Smaller ones are read faster.
const SMALLEST_MAP: u64 = 1 << 18;

/// The bytes of a file.
#[derive(Debug)]
pub enum MappedFile {
    /// A copy.
    Copy(Vec<u8>),
    /// The file itself.
    Map(Mmap),
}

impl MappedFile {
    /// Maps a file, or reads it if it is small or cannot be mapped.
    ///
    /// # Errors
    /// If it cannot be read, or is larger than `limit` bytes ([`io::ErrorKind::FileTooLarge`]).
    pub fn open(path: &Path, limit: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let too_large = || io::Error::from(io::ErrorKind::FileTooLarge);
        let size = metadata.len();
        if size > limit {
            return Err(too_large());
        }
        if metadata.is_file()
            && size >= SMALLEST_MAP
            && let Ok(map) = map(&file)
        {
            return Ok(Self::Map(map));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(too_large());
        }
        Ok(Self::Copy(bytes))
    }

    /// Some bytes as f32, in place. `None` if they do not begin at a multiple of 4 bytes, are not
    /// whole values, or the machine has another order of bytes.
    pub fn floats(self: &Arc<Self>, bytes: Range<usize>) -> Option<Buffer<f32>> {
        let part = self.get(bytes.clone())?;
        if cfg!(target_endian = "big") || bytemuck::try_cast_slice::<u8, f32>(part).is_err() {
            return None;
        }
        Some(Buffer::Shared(Arc::new(Floats {
            file: self.clone(),
            bytes,
        })))
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Copy(bytes) => bytes,
            Self::Map(map) => map,
        }
    }
}

#[allow(unsafe_code)]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: no code relies on bytes that it has read before: lengths and offsets are copied when
    // they are parsed, and every bit pattern is a value. What happens if another program changes
    // the file meanwhile is said above.
    unsafe { Mmap::map(file) }
}

/// Values of a file.
struct Floats {
    file: Arc<MappedFile>,
    bytes: Range<usize>,
}

impl AsRef<[f32]> for Floats {
    fn as_ref(&self) -> &[f32] {
        bytemuck::cast_slice(&self.file[self.bytes.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::little_endian::bytes_of;

    #[test]
    fn a_large_file_is_mapped_and_its_values_are_read_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("values");
        let values: Vec<f32> = (0..100_000).map(|v| v as f32).collect();
        let bytes = bytes_of(&values);
        std::fs::write(&path, &bytes).unwrap();
        let file = Arc::new(MappedFile::open(&path, u64::MAX).unwrap());
        assert!(matches!(*file, MappedFile::Map(_)));
        assert_eq!(file[..], bytes);
        let mut floats = file.floats(400..4000).unwrap();
        assert_eq!(floats[..], values[100..1000]);
        assert_eq!(floats.as_ptr().addr(), file[400..].as_ptr().addr());
        floats.to_mut()[0] = -1.0;
        assert_eq!(file.floats(400..404).unwrap()[..], values[100..101]);
        for bytes in [402..406, 400..403, 4..bytes.len() + 4] {
            assert!(file.floats(bytes).is_none());
        }
        let error = MappedFile::open(&path, bytes.len() as u64 - 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        std::fs::write(&path, &bytes[..100]).unwrap();
        let file = MappedFile::open(&path, u64::MAX).unwrap();
        assert!(matches!(file, MappedFile::Copy(_)));
    }
}
