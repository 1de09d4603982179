//! The user's cache folder: for each name one converted file, and a lock file beside it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::HubError;

/// A folder of converted weights.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// `MOBILENET_CACHE`, or else the platform's cache folder for `mobilenet`.
    ///
    /// # Errors
    /// [`HubError::NoCache`] if the variable is not set and the user has no home folder.
    pub fn of_user() -> Result<Self, HubError> {
        let folder = match std::env::var_os("MOBILENET_CACHE").filter(|value| !value.is_empty()) {
            Some(folder) => PathBuf::from(folder),
            None => directories::ProjectDirs::from("", "", "mobilenet")
                .ok_or(HubError::NoCache)?
                .cache_dir()
                .to_path_buf(),
        };
        Ok(Self::at(folder))
    }

    /// A cache in the given folder.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Path of the weights with this name, whether they are cached yet or not.
    pub fn file(&self, name: &str) -> PathBuf {
        // `hf:OWNER/REPO` is one file, not a folder; `--` cannot occur in either part.
        let name = name.replace(['/', ':', '\\'], "--");
        self.folder.join(format!("{name}.safetensors"))
    }

    /// Locks a name until the lock is dropped. A second process waits for the first.
    pub(crate) fn lock(&self, name: &str) -> Result<Lock, HubError> {
        fs::create_dir_all(&self.folder).map_err(|source| self.error(source))?;
        let path = self.file(name).with_extension("lock");
        let file = File::create(&path)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|source| HubError::Cache { path, source })?;
        Ok(Lock(file))
    }

    /// A temporary folder for downloads, deleted on drop. Nothing in it counts as cached.
    pub(crate) fn scratch(&self) -> Result<tempfile::TempDir, HubError> {
        tempfile::Builder::new()
            .prefix(".fetch-")
            .tempdir_in(&self.folder)
            .map_err(|source| self.error(source))
    }

    pub(crate) fn error(&self, source: std::io::Error) -> HubError {
        HubError::Cache {
            path: self.folder.clone(),
            source,
        }
    }
}

/// A file lock. The system releases it when the file closes, even if the process is killed.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held for its drop")] File);
