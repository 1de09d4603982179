//! A list of photos with a vector each, such as another network's embedding.

use std::path::Path;

use super::DataError;
use super::attributes::fill;
use super::table::Table;
use super::target_photos::TargetPhotos;

/// Whether a list has vectors: more than a path and a label.
///
/// # Errors
/// If it cannot be read, or has fewer columns.
pub fn has_vectors(list: &Path) -> Result<bool, DataError> {
    let table = Table::read(
        list,
        "`photo,label`, or `photo` and the numbers of a vector",
    )?;
    Ok(table.columns.len() > 2)
}

/// Opens a list whose first line names the columns: a path, relative to the list's folder, and the
/// numbers of the vector. Only the direction of a vector counts: it is scaled to length 1.
///
/// # Errors
/// If the list cannot be read, has no photos, or a vector has a field that is no number, or no direction.
pub fn open(list: &Path) -> Result<TargetPhotos, DataError> {
    let table = Table::read(list, "`photo` and a column for each number of its vector")?;
    let names = table.columns.get(1..).unwrap_or_default().to_vec();
    fill(&table, names, |row, vector| {
        let mut square = 0.0;
        for (column, value) in (1..).zip(vector.iter_mut()) {
            let number = row.number(column)?;
            square += number * number;
            *value = number as f32;
        }
        let length = square.sqrt();
        if !(length > 1e-30 && length < 1e30) {
            return Err(row.wrong(1, "a vector with a direction from the number"));
        }
        for value in vector {
            *value = (f64::from(*value) / length) as f32;
        }
        Ok(())
    })
}
