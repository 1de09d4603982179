//! A list of photos: a path and a label on each line, separated by the line's last comma.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::photo_list::{highest, read_text};
use super::{DataError, ImageFiles, numbered};

/// First words of a header line.
const HEADERS: [&str; 8] = [
    "path",
    "photo",
    "file",
    "filename",
    "file_name",
    "filepath",
    "image",
    "image_path",
];

/// Opens a list. Paths are relative to the list's folder, and files are first opened when a photo
/// is loaded. Fields may have double quotes. The first line is a header if its path is a usual
/// heading (`path`, `photo`, `file`, `filename`, `image`, ...) and no file has this name.
///
/// If all labels are numbers, they are class indices, otherwise names. Classes are `class_names` if
/// given, otherwise the numbers from `0` to the highest index, or the sorted names.
///
/// # Errors
/// If the list cannot be read, is empty, or a line has no comma or an unknown label.
pub fn open(list: &Path, class_names: Option<&[String]>) -> Result<ImageFiles, DataError> {
    let text = read_text(list)?;
    let folder = list.parent().unwrap_or(Path::new(""));
    let mut rows: Vec<(usize, PathBuf, String)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let (path, label) = line.rsplit_once(',').ok_or_else(|| {
            DataError::malformed(location(list, number), "`path,label`", format!("`{line}`"))
        })?;
        let (path, label) = (unquoted(path), unquoted(label));
        let file = folder.join(&path);
        let header = rows.is_empty() && HEADERS.contains(&path.to_ascii_lowercase().as_str());
        if !header || file.exists() {
            rows.push((number, file, label));
        }
    }
    if rows.is_empty() {
        return Err(DataError::malformed(
            list.display(),
            "lines `path,label`",
            "none",
        ));
    }
    let indices: Option<Vec<usize>> = rows
        .iter()
        .map(|(_, _, label)| label.parse().ok())
        .collect();
    if let Some(indices) = indices {
        let names = match class_names {
            Some(names) => names.to_vec(),
            None => numbered(highest(list, &indices)? + 1),
        };
        let files = rows.into_iter().map(|(_, file, _)| file);
        return ImageFiles::new(files.zip(indices).collect(), names);
    }
    let names = match class_names {
        Some(names) => names.to_vec(),
        None => {
            let names: BTreeSet<&String> = rows.iter().map(|(_, _, label)| label).collect();
            names.into_iter().cloned().collect()
        }
    };
    let classes: HashMap<&str, usize> = names.iter().map(String::as_str).zip(0..).collect();
    let class = |(number, file, label): (usize, PathBuf, String)| match classes.get(label.as_str())
    {
        Some(&class) => Ok((file, class)),
        None => {
            let expected = format!("one of the {} classes", names.len());
            let found = format!("`{label}`");
            Err(DataError::malformed(
                location(list, number),
                expected,
                found,
            ))
        }
    };
    let files: Result<Vec<_>, DataError> = rows.into_iter().map(class).collect();
    let files = files?;
    ImageFiles::new(files, names)
}

fn location(list: &Path, number: usize) -> String {
    format!("{}, line {number}", list.display())
}

/// A field without its quotes. A doubled quote inside stands for one.
fn unquoted(field: &str) -> String {
    let field = field.trim();
    match field
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        Some(inner) => inner.replace("\"\"", "\""),
        None => field.to_string(),
    }
}
