//! `--explain`: pictures of what speaks for the best class of each photo.

use std::collections::HashSet;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use image::ImageFormat;
use mobilenet::model::checkpoint::Checkpoint;
use mobilenet::model::file::write_atomically;
use mobilenet::{Explainer, open_photo};

/// Draws the pictures.
pub(super) struct Explanation {
    explainer: Explainer,
    target: Target,
}

enum Target {
    /// The picture of the only photo.
    File(PathBuf),
    /// A folder, and the names that are taken in it.
    Folder(PathBuf, HashSet<String>),
}

impl Explanation {
    /// One photo goes to a file if `path` has a picture's ending; otherwise `path` is a folder,
    /// which is created.
    pub(super) fn new(checkpoint: &Checkpoint, path: &Path, photos: usize) -> Result<Self> {
        let is_png = path.extension().is_some_and(|ending| ending == "png");
        let target = if is_png && photos == 1 {
            Target::File(path.to_path_buf())
        } else {
            std::fs::create_dir_all(path)
                .with_context(|| format!("cannot create the folder {}", path.display()))?;
            Target::Folder(path.to_path_buf(), HashSet::new())
        };
        Ok(Self {
            explainer: Explainer::new(checkpoint, 1)?,
            target,
        })
    }

    /// Writes the picture of a photo.
    pub(super) fn draw(&mut self, photo: &Path) -> Result<()> {
        let image = open_photo(photo)?;
        let map = self.explainer.explain(&image, None)?;
        let mut png = Vec::new();
        map.overlay(&image)
            .write_to(&mut Cursor::new(&mut png), ImageFormat::Png)
            .with_context(|| format!("cannot encode the picture of {}", photo.display()))?;
        let path = self.target.next(photo);
        write_atomically(&path, &png).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Target {
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
