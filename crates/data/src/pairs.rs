//! A list of pairs of photos that show the same or not.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::table::Table;
use super::{DataError, ImageFiles};

/// Two photos of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Their numbers.
    pub photos: [usize; 2],
    /// Whether they show the same.
    pub is_same: bool,
}

/// Pairs, and their photos, each once.
#[derive(Debug, Clone)]
pub struct PhotoPairs {
    /// The photos. They all have the same class.
    pub photos: Arc<ImageFiles>,
    /// The pairs, in the list's order.
    pub pairs: Vec<Pair>,
}

/// The name of the third column, by which a list of pairs is told from others.
const SAME: &str = "same";

/// Opens a list of pairs. `None` if its first line is not that of pairs: two columns with paths, relative
/// to the list's folder, and a column `same` with 1 or 0.
///
/// # Errors
/// If the list cannot be read, is empty, or says something else than 1 or 0.
pub fn open(list: &Path) -> Result<Option<PhotoPairs>, DataError> {
    let table = Table::read(list, "`photo,other,same`")?;
    if !matches!(&table.columns[..], [_, _, last] if last.eq_ignore_ascii_case(SAME)) {
        return Ok(None);
    }
    table.count()?;
    let (mut numbers, mut files) = (HashMap::<PathBuf, usize>::new(), Vec::new());
    let mut number = |path: PathBuf| {
        *numbers.entry(path.clone()).or_insert_with(|| {
            files.push((path, 0));
            files.len() - 1
        })
    };
    let mut pairs = Vec::new();
    for row in table.rows() {
        let row = row?;
        let is_same = match row.text(2) {
            "1" => true,
            "0" => false,
            _ => return Err(row.wrong(2, "1 or 0")),
        };
        let photos = [number(row.file()), number(table.file(row.text(1)))];
        pairs.push(Pair { photos, is_same });
    }
    let photos = ImageFiles::new(files, vec!["photo".to_string()])?;
    let photos = Arc::new(photos);
    Ok(Some(PhotoPairs { photos, pairs }))
}
