//! The bytes of a file, and access to the other files of a checkpoint.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::budget::Budget;
use crate::checkpoint::readers::ReadError;
use crate::mapped_file::MappedFile;

/// The folder with the files of a checkpoint.
pub trait Folder {
    /// Reads a file, at most `limit` bytes of it.
    ///
    /// # Errors
    /// If there is no such file, or it is larger than `limit` ([`io::ErrorKind::FileTooLarge`]).
    fn read(&self, name: &str, limit: u64) -> io::Result<MappedFile>;
}

/// A folder on disk.
impl Folder for PathBuf {
    fn read(&self, name: &str, limit: u64) -> io::Result<MappedFile> {
        MappedFile::open(&self.join(name), limit)
    }
}

/// A folder in memory.
impl Folder for BTreeMap<String, Vec<u8>> {
    fn read(&self, name: &str, limit: u64) -> io::Result<MappedFile> {
        let bytes = self.get(name).ok_or(io::ErrorKind::NotFound)?;
        if bytes.len() as u64 > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(MappedFile::Copy(bytes.clone()))
    }
}

/// A file of weights, and the folder that holds it.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Name of the file in its folder, for example `model.ckpt.index`.
    pub name: &'a str,
    /// Content of the file.
    pub bytes: &'a [u8],
    /// The same, if it may be shared.
    pub file: Option<&'a Arc<MappedFile>>,
    /// Folder with the other files.
    pub folder: &'a dyn Folder,
}

impl Source<'_> {
    /// Reads another file of the checkpoint, whose name this file gives. The file must be in the
    /// same folder or below it.
    pub(super) fn sibling(
        &self,
        name: &str,
        budget: &mut Budget,
    ) -> Result<Arc<MappedFile>, ReadError> {
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
        Ok(Arc::new(bytes))
    }
}
