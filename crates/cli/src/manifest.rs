//! Lists of photos in files, and parts of them for jobs that run apart.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mobilenet::PhotoSource;

use crate::csv;

/// One of several equal parts of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its number, from 0.
    pub(crate) number: usize,
    /// The number of parts.
    pub(crate) parts: usize,
}

impl Part {
    /// Its share of a list of some length.
    pub(crate) fn of(self, length: usize) -> Range<usize> {
        let bound = |number: usize| {
            let bound = length as u128 * number as u128 / self.parts as u128;
            // At most the length.
            bound as usize
        };
        bound(self.number)..bound(self.number + 1)
    }
}

/// Photos whose bytes are in a manifest, read as they are asked for.
pub(crate) type Contents = Box<dyn Iterator<Item = Result<PhotoSource>> + Send>;

/// Reads the photos of a manifest: a path a line, the first column of a CSV file, whose name is
/// `photo` or `path`, or what a Parquet file names.
pub(crate) fn read(path: &Path) -> Result<Vec<PathBuf>> {
    if is_parquet(path) {
        return table::names(path);
    }
    let failed = || format!("cannot read {}", path.display());
    let mut text = std::fs::read(path).with_context(failed)?;
    if path.extension().is_none_or(|ending| ending != "csv") {
        return Ok(crate::photo_sources::lines(&text).collect());
    }
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    let (mut fields, whole) = csv::first_fields(&text);
    if whole < text.len() {
        bail!("{}: a quotation does not end", path.display());
    }
    let name = match fields.is_empty() {
        true => String::new(),
        false => fields.remove(0),
    };
    if !["photo", "path"].contains(&name.trim_start_matches('\u{feff}')) {
        bail!(
            "{}: expected a first column with the name photo or path, found {name:?}",
            path.display()
        );
    }
    let photos = fields.into_iter().filter(|photo| !photo.is_empty());
    Ok(photos.map(PathBuf::from).collect())
}

/// Some of the photos of a manifest that has their bytes, or may have.
pub(crate) fn contents(path: &Path, rows: Range<usize>) -> Result<Option<Contents>> {
    match is_parquet(path) {
        true => table::contents(path, rows).map(Some),
        false => Ok(None),
    }
}

fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "parquet")
}

#[cfg(feature = "parquet")]
mod table {
    use mobilenet::parquet::PhotoTable;

    use super::*;

    pub(super) fn names(path: &Path) -> Result<Vec<PathBuf>> {
        let names = PhotoTable::open(path).and_then(|table| table.names());
        names.with_context(|| failed(path))
    }

    pub(super) fn contents(path: &Path, rows: Range<usize>) -> Result<Contents> {
        let photos = PhotoTable::open(path).and_then(|table| table.photos(rows));
        let photos = photos.with_context(|| failed(path))?;
        let path = path.to_path_buf();
        let named = move |photo: Result<_, _>| photo.with_context(|| failed(&path));
        Ok(Box::new(photos.map(named)))
    }

    fn failed(path: &Path) -> String {
        format!("cannot read {}", path.display())
    }
}

#[cfg(not(feature = "parquet"))]
mod table {
    use super::*;

    const WITHOUT: &str = "build this program with --features parquet for manifests in Parquet";

    pub(super) fn names(path: &Path) -> Result<Vec<PathBuf>> {
        bail!("cannot read {}: {WITHOUT}", path.display())
    }

    pub(super) fn contents(path: &Path, _: Range<usize>) -> Result<Contents> {
        bail!("cannot read {}: {WITHOUT}", path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_list() {
        for (length, parts) in [(1000, 7), (3, 7), (0, 2), (usize::MAX, 3)] {
            let part = |number| Part { number, parts }.of(length);
            let mut end = 0;
            for number in 0..parts {
                assert_eq!(part(number).start, end);
                end = part(number).end;
            }
            assert_eq!(end, length);
        }
    }

    #[test]
    fn lists_and_tables_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            read(&path)
        };
        let expected = ["a b.jpg", "c,d.jpg"].map(PathBuf::from);
        assert_eq!(read("x.txt", "a b.jpg\r\n\nc,d.jpg").unwrap(), expected);
        let table = "photo,class\r\na b.jpg,1\r\n\"c,d.jpg\",2";
        assert_eq!(read("x.csv", table).unwrap(), expected);
        for (text, part) in [
            ("class,photo\n1,a.jpg\n", "found \"class\""),
            ("", "found \"\""),
            ("photo\n\"a.jpg\n", "does not end"),
        ] {
            let error = read("y.csv", text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(super::read(&folder.path().join("none")).is_err());
    }
}
