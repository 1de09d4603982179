//! The report of a training: one HTML page with the results, the curves, the confusion matrix, the
//! photos with the highest loss and the recipe. Everything is in the one file, so that it opens by
//! double click and can be sent to somebody.

mod chart;
mod confusion;
mod contents;
mod curves;
pub(crate) mod detector;
mod head;
mod page;
mod photos;
pub(crate) mod settings;
mod shell;
mod text;

pub use contents::{Report, WrongPhoto, worst_photos};
pub use head::HeadReport;

use std::path::Path;

use crate::error::TrainError;
use crate::file::write_atomically;

/// The report's file in its folder.
pub const FILE: &str = "report.html";

impl Report<'_> {
    /// Writes [`FILE`] to a folder, which is created if necessary. A figure without data is left
    /// out.
    ///
    /// # Errors
    /// If the file cannot be written, or the size of a photo does not fit its bytes.
    pub fn write(&self, folder: &Path) -> Result<(), TrainError> {
        let page = page::html(self)?;
        std::fs::create_dir_all(folder).map_err(TrainError::write(folder))?;
        write_atomically(&folder.join(FILE), page.as_bytes())
    }
}
