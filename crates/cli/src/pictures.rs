//! Pictures that commands write for photos: into one file, or into a folder under the photos' names.

use std::collections::HashSet;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use image::ImageFormat;
use mobilenet::Photo;
use mobilenet::model::file::write_atomically;

/// Where pictures go.
pub(crate) enum Pictures {
    /// The picture of the only photo.
    File(PathBuf),
    /// A folder, and the names that are taken in it.
    Folder(PathBuf, HashSet<String>),
}

impl Pictures {
    /// A folder, which is created.
    pub(crate) fn in_folder(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path)
            .with_context(|| format!("cannot create the folder {}", path.display()))?;
        Ok(Self::Folder(path.to_path_buf(), HashSet::new()))
    }

    /// Writes the picture of a photo as PNG.
    pub(crate) fn write(&mut self, photo: &Path, picture: &Photo) -> Result<()> {
        let mut png = Vec::new();
        picture
            .write_to(&mut Cursor::new(&mut png), ImageFormat::Png)
            .with_context(|| format!("cannot encode the picture of {}", photo.display()))?;
        let path = self.next(photo);
        write_atomically(&path, &png).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The file of a photo's picture. Photos of the same name in different folders get numbers.
    fn next(&mut self, photo: &Path) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Folder(folder, taken) => {
                let stem = photo.file_stem().unwrap_or_default().to_string_lossy();
                let numbered = (2..).map(|number| format!("{stem}_{number}.png"));
                let mut names = std::iter::once(format!("{stem}.png")).chain(numbered);
                let free = names.find(|name| taken.insert(name.clone()));
                folder.join(free.unwrap_or_default())
            }
        }
    }
}
