//! The bytes of a file, and access to the other files of a checkpoint.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::budget::Budget;
use crate::checkpoint::readers::ReadError;

/// The folder with the files of a checkpoint.
pub trait Folder {
    /// Reads a file, at most `limit` bytes of it.
    ///
    /// # Errors
    /// If there is no such file, or it is larger than `limit` ([`io::ErrorKind::FileTooLarge`]).
    fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>>;
}

/// A folder on disk.
impl Folder for PathBuf {
    fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let file = File::open(self.join(name))?;
        let size = file.metadata()?.len();
        let too_large = || io::Error::from(io::ErrorKind::FileTooLarge);
        if size > limit {
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(size as usize);
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(too_large());
        }
        Ok(bytes)
    }
}

/// A folder in memory.
impl Folder for BTreeMap<String, Vec<u8>> {
    fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let bytes = self.get(name).ok_or(io::ErrorKind::NotFound)?;
        if bytes.len() as u64 > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes.clone())
    }
}

/// A file of weights, and the folder that holds it.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Name of the file in its folder, for example `model.ckpt.index`.
    pub name: &'a str,
    /// Content of the file.
    pub bytes: &'a [u8],
    /// Folder with the other files.
    pub folder: &'a dyn Folder,
}

impl Source<'_> {
    /// Reads another file of the checkpoint, whose name this file gives. The file must be in the
    /// same folder or below it.
    pub(super) fn sibling(&self, name: &str, budget: &mut Budget) -> Result<Vec<u8>, ReadError> {
        let inside = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !inside {
            let problem = format!("the file name {name:?} leads out of the folder");
            return Err(ReadError::malformed(self.name, problem));
        }
        let bytes = self
            .folder
            .read(name, budget.file_bytes())
            .map_err(|error| ReadError::malformed(name, error))?;
        budget.opened(bytes.len() as u64);
        Ok(bytes)
    }
}
