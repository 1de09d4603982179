//! Names of the classes in a TFLite file.

use std::io::Cursor;

use zip::ZipArchive;

use crate::checkpoint::readers::zip_entry::entry;
use crate::checkpoint::readers::{Budget, ReadError};

/// Names of the classes. TFLite's metadata has a file of labels in a zip after the model.
pub(super) fn labels(bytes: &[u8], budget: &mut Budget) -> Result<Option<Vec<String>>, ReadError> {
    let Ok(mut archive) = ZipArchive::new(Cursor::new(bytes)) else {
        return Ok(None);
    };
    let names = archive.file_names().filter_map(Result::ok);
    let name = names
        .filter(|name| name.contains("label") && name.ends_with(".txt"))
        .map(|name| name.to_string())
        .next();
    let Some(name) = name else {
        return Ok(None);
    };
    let text = entry(&mut archive, &name, budget)?;
    // In memory: a line of one byte becomes a `String`.
    budget.take(&name, (size_of::<String>() * text.len()) as u64)?;
    let text = String::from_utf8_lossy(&text);
    Ok(Some(
        text.lines().map(|line| line.trim().to_string()).collect(),
    ))
}
