//! The report of a training: one Markdown page with the recipe, the curves, the confusion matrix
//! and the photos with the highest loss. Figures are files in the same folder.

mod confusion;
mod contents;
mod curves;
mod page;
mod photos;

pub use contents::{Report, WrongPhoto, worst_photos};

use std::path::Path;

use crate::error::TrainError;
use crate::file::write_atomically;

impl Report<'_> {
    /// Writes `report.md`, `loss.svg`, `accuracy.svg`, `confusion.svg`, `worst_1.png` and so on to
    /// a folder, which is created if necessary. A figure without data is left out.
    ///
    /// # Errors
    /// If a file cannot be written, or the size of a photo does not fit its bytes.
    pub fn write(&self, folder: &Path) -> Result<(), TrainError> {
        std::fs::create_dir_all(folder).map_err(TrainError::write(folder))?;
        let figures = [
            ("loss.svg", curves::loss(self.history)?),
            ("accuracy.svg", curves::accuracy(self.history)?),
            ("confusion.svg", confusion::matrix(self)?),
        ];
        for (name, svg) in &figures {
            if let Some(svg) = svg {
                write_atomically(&folder.join(name), svg.as_bytes())?;
            }
        }
        for (index, photo) in self.worst.iter().enumerate() {
            let png = photos::thumbnail(photo)?;
            write_atomically(&folder.join(photos::file_name(index)), &png)?;
        }
        let figures = figures.iter().filter(|(_, svg)| svg.is_some());
        let figures: Vec<&str> = figures.map(|(name, _)| *name).collect();
        // Last, so that a page never refers to a missing figure.
        let page = page::markdown(self, &figures);
        write_atomically(&folder.join("report.md"), page.as_bytes())
    }
}
