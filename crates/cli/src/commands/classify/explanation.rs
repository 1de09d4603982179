//! `--explain`: pictures of what speaks for the best class of each photo.

use std::path::Path;

use anyhow::Result;
use mobilenet::model::checkpoint::Checkpoint;
use mobilenet::{Explainer, open_photo};

use crate::pictures::Pictures;

/// Draws the pictures.
pub(super) struct Explanation {
    explainer: Explainer,
    pictures: Pictures,
}

impl Explanation {
    /// One photo goes to a file if `path` has a picture's ending; otherwise `path` is a folder,
    /// which is created.
    pub(super) fn new(checkpoint: &Checkpoint, path: &Path, photos: usize) -> Result<Self> {
        let is_png = path.extension().is_some_and(|ending| ending == "png");
        let pictures = match is_png && photos == 1 {
            true => Pictures::File(path.to_path_buf()),
            false => Pictures::in_folder(path)?,
        };
        Ok(Self {
            explainer: Explainer::new(checkpoint, 1)?,
            pictures,
        })
    }

    /// Writes the picture of a photo.
    pub(super) fn draw(&mut self, photo: &Path) -> Result<()> {
        let image = open_photo(photo)?;
        let map = self.explainer.explain(&image, None)?;
        self.pictures.write(photo, &map.overlay(&image))
    }
}
