//! The report of a training: one Markdown page with its recipe, its curves, what it confuses,
//! and the photos that went most wrong, each file beside it.

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
    /// Writes `report.md`, `loss.svg`, `accuracy.svg`, `confusion.svg` and `worst_1.png` and so
    /// on into a folder, which is made if it is missing. A figure without data is left out.
    ///
    /// # Errors
    /// If a file cannot be written, or a photo has another number of bytes than its size says.
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
        // Last, so that a page never shows what is not there.
        let page = page::markdown(self, &figures);
        write_atomically(&folder.join("report.md"), page.as_bytes())
    }
}
