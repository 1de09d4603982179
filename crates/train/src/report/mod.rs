//! The report of a training: one Markdown page with its recipe, its curves, what it confuses,
//! and the photos that went most wrong, each file beside it.

mod confusion;
mod curves;
mod page;
mod photos;

use std::path::Path;

use crate::error::TrainError;
use crate::file::write_atomically;
use crate::log::History;
use crate::metrics::{Evaluation, WrongImage};

/// Most classes in the confusion matrix and the table of classes; of more, those with the most
/// mistakes are shown.
const MOST_CLASSES: usize = 40;

/// What a report is made from.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// Heading of the page.
    pub title: &'a str,
    /// Settings of the training, by name.
    pub recipe: &'a [(String, String)],
    /// What it told while it ran.
    pub history: &'a History,
    /// Its last evaluation.
    pub evaluation: &'a Evaluation,
    /// Names of classes by number; a class without one is called by its number.
    pub class_names: &'a [String],
    /// Photos to show, worst first.
    pub worst: &'a [WrongPhoto],
}

/// A photo that went wrong.
#[derive(Debug, Clone)]
pub struct WrongPhoto {
    /// What the network made of it.
    pub image: WrongImage,
    /// What the photo is called.
    pub name: String,
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `[height, width, 3]`.
    pub rgb: Vec<u8>,
}

impl Report<'_> {
    /// Writes `report.md`, `loss.svg`, `accuracy.svg`, `confusion.svg` and `worst_1.png` and so
    /// on into a folder, which is made where it lacks. A figure without data is left out.
    ///
    /// # Errors
    /// Where a file cannot be written, or a photo has another number of bytes than its size says.
    pub fn write(&self, folder: &Path) -> Result<(), TrainError> {
        std::fs::create_dir_all(folder).map_err(|error| TrainError::Write {
            path: folder.to_path_buf(),
            problem: error.to_string(),
        })?;
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

    fn class_name(&self, class: usize) -> String {
        let name = self.class_names.get(class);
        name.map_or_else(|| class.to_string(), Clone::clone)
    }
}
