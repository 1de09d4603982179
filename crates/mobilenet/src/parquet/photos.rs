//! Photos listed in a Parquet file: their paths, or their bytes, as data sets for other programs have
//! them.

use std::fs::File;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::basic::{LogicalType, Type};
use parquet::column::reader::{ColumnReaderImpl, get_column_reader, get_typed_column_reader};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use crate::photos::PhotoSource;

/// Most rows of a file, because all names are in memory at once.
const MOST_ROWS: usize = 1 << 24;

/// Names that are read at once.
const AT_ONCE: usize = 1 << 12;

/// A Parquet file with a row for each photo. A column `photo` or `path` has the paths, a column `bytes`
/// or `image` the bytes of the files; either may be a field of a group, as in the `image.bytes` and
/// `image.path` of Hugging Face's data sets. Where a row has both, the path is only a name. Pages may
/// be compressed by Snappy, or not at all; a page has at most 2 GiB.
pub struct PhotoTable {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    /// Numbers of the columns.
    names: Option<usize>,
    bytes: Option<usize>,
    rows: usize,
}

impl PhotoTable {
    /// Opens a file.
    ///
    /// # Errors
    /// If it is no Parquet file, has neither column, or has too many rows.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| ParquetError::External(error.into()))?;
        let reader = guarded(|| SerializedFileReader::new(file))?;
        let metadata = reader.metadata();
        let schema = metadata.file_metadata().schema_descr();
        let find = |names: [&str; 2], binary: bool| {
            schema.columns().iter().position(|column| {
                column.physical_type() == Type::BYTE_ARRAY
                    && column.max_rep_level() == 0
                    && names.contains(&column.name())
                    && !(binary && is_text(column))
            })
        };
        let (names, bytes) = (
            find(["photo", "path"], false),
            find(["bytes", "image"], true),
        );
        if names.is_none() && bytes.is_none() {
            let columns = schema.columns().iter().map(|column| column.path().string());
            return Err(ParquetError::General(format!(
                "expected a column of paths with the name photo or path, or one of photos with the \
                 name bytes or image, found {}",
                columns.collect::<Vec<_>>().join(", ")
            )));
        }
        let mut rows = 0usize;
        for group in metadata.row_groups() {
            rows = rows.saturating_add(length(group.num_rows())?);
        }
        if rows > MOST_ROWS {
            let problem = format!("{rows} rows, at most {MOST_ROWS}: make several manifests of it");
            return Err(ParquetError::General(problem));
        }
        Ok(Self {
            path: path.to_path_buf(),
            reader,
            names,
            bytes,
            rows,
        })
    }

    /// Number of photos.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The name of each photo. Rows without one are named after the file and their number from 0.
    ///
    /// # Errors
    /// If the file is broken.
    pub fn names(&self) -> Result<Vec<PathBuf>> {
        let unnamed = |row: usize| PathBuf::from(format!("{}#{row}", self.path.display()));
        let Some(column) = self.names else {
            return Ok((0..self.rows).map(unnamed).collect());
        };
        let mut names = Vec::new();
        for group in 0..self.reader.num_row_groups() {
            let mut column = Column::of(&self.reader, group, column, 0)?;
            while let Some(values) = column.next(AT_ONCE)? {
                for value in values {
                    let text = value.filter(|name| !name.is_empty());
                    names.push(match text {
                        Some(name) => String::from_utf8_lossy(name.data()).into_owned().into(),
                        None => unnamed(names.len()),
                    });
                }
            }
        }
        match names.len() == self.rows {
            true => Ok(names),
            false => Err(wrong_number(self.rows, names.len())),
        }
    }

    /// Some of the photos, which are read while they are asked for, a row at a time. After an error
    /// there are no more.
    ///
    /// # Errors
    /// If the names cannot be read.
    pub fn photos(self, rows: Range<usize>) -> Result<Photos> {
        let mut names = self.names()?;
        let rows = rows.start.min(names.len())..rows.end.min(names.len());
        let names: Vec<PathBuf> = names.drain(rows.clone()).collect();
        Ok(Photos {
            table: self,
            names: names.into_iter(),
            row: rows.start,
            group: 0,
            before: 0,
            open: None,
        })
    }
}

/// Photos of a [`PhotoTable`].
pub struct Photos {
    table: PhotoTable,
    names: std::vec::IntoIter<PathBuf>,
    /// The next row.
    row: usize,
    /// The next group of rows, and the rows before it.
    group: usize,
    before: usize,
    open: Option<Column>,
}

impl Photos {
    /// The value of the next row.
    fn bytes(&mut self, column: usize) -> Result<Option<ByteArray>> {
        loop {
            if let Some(open) = &mut self.open
                && let Some(values) = open.next(1)?
            {
                self.row += 1;
                return Ok(values.into_iter().next().flatten());
            }
            let reader = &self.table.reader;
            if self.group >= reader.num_row_groups() {
                return Err(wrong_number(self.table.rows, self.row));
            }
            let rows = length(reader.metadata().row_group(self.group).num_rows())?;
            let skip = self.row.saturating_sub(self.before);
            self.open = match skip < rows {
                true => Some(Column::of(reader, self.group, column, skip)?),
                false => None,
            };
            self.before += rows;
            self.group += 1;
        }
    }
}

impl Iterator for Photos {
    type Item = Result<PhotoSource>;

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.names.next()?;
        let Some(column) = self.table.bytes else {
            return Some(Ok(PhotoSource::file(name)));
        };
        Some(match self.bytes(column) {
            Ok(Some(bytes)) => Ok(PhotoSource::bytes(name, bytes.data().to_vec())),
            Ok(None) => Ok(PhotoSource::file(name)),
            Err(error) => {
                self.names = Vec::new().into_iter();
                Err(error)
            }
        })
    }
}

/// A column of a group of rows, while it is read.
struct Column {
    reader: ColumnReaderImpl<ByteArrayType>,
    deepest: i16,
}

impl Column {
    fn of(
        reader: &SerializedFileReader<File>,
        group: usize,
        column: usize,
        skip: usize,
    ) -> Result<Self> {
        guarded(|| {
            let group = reader.get_row_group(group)?;
            let descriptor = group.metadata().column(column).column_descr_ptr();
            let deepest = descriptor.max_def_level();
            let pages = group.get_column_page_reader(column)?;
            let mut reader = get_typed_column_reader(get_column_reader(descriptor, pages));
            match reader.skip_records(skip)? == skip {
                true => Ok(Self { reader, deepest }),
                false => Err(ParquetError::General("a page is missing".to_string())),
            }
        })
    }

    /// The next values. `None` at the end.
    fn next(&mut self, most: usize) -> Result<Option<Vec<Option<ByteArray>>>> {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let reader = &mut self.reader;
        let read = guarded(|| reader.read_records(most, Some(&mut levels), None, &mut values))?;
        if read.0 == 0 {
            return Ok(None);
        }
        if self.deepest == 0 {
            return Ok(Some(values.into_iter().map(Some).collect()));
        }
        let mut values = values.into_iter();
        let value = |level: i16| match level == self.deepest {
            true => values.next(),
            false => None,
        };
        Ok(Some(levels.into_iter().map(value).collect()))
    }
}

/// The reader of a broken file may panic, which is an error here.
fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    let broken = |_| Err(ParquetError::General("the file is broken".to_string()));
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(broken)
}

fn is_text(column: &ColumnDescriptor) -> bool {
    column.logical_type_ref() == Some(&LogicalType::String)
}

fn length(rows: i64) -> Result<usize> {
    let failed = |_| ParquetError::General(format!("a group of {rows} rows"));
    usize::try_from(rows).map_err(failed)
}

fn wrong_number(expected: usize, found: usize) -> ParquetError {
    ParquetError::General(format!("expected {expected} rows, found {found}"))
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Values, to_bytes};
    use super::*;

    fn file(folder: &Path, columns: &[Column]) -> PathBuf {
        let path = folder.join("x.parquet");
        std::fs::write(&path, to_bytes(columns).unwrap()).unwrap();
        path
    }

    fn photos(path: &Path, rows: Range<usize>) -> Vec<PhotoSource> {
        let table = PhotoTable::open(path).unwrap();
        let photos = table.photos(rows).unwrap();
        photos.map(|photo| photo.unwrap()).collect()
    }

    fn text(values: &[&str]) -> Values {
        let some = |text: &&str| (!text.is_empty()).then(|| text.to_string());
        Values::Text(values.iter().map(some).collect())
    }

    #[test]
    fn paths_and_bytes_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let class = Column::new("class", Values::Int(vec![Some(1); 3]));
        let names = Column::new("path", text(&["a.jpg", "", "ü.jpg"]));
        let path = file(folder.path(), &[class.clone(), names.clone()]);
        let unnamed = PathBuf::from(format!("{}#1", path.display()));
        let files = [PathBuf::from("a.jpg"), unnamed.clone(), "ü.jpg".into()];
        assert_eq!(photos(&path, 0..3), files.clone().map(PhotoSource::file));

        let bytes = vec![Some(b"one".to_vec()), Some(b"two".to_vec()), None];
        let bytes = Column::new("image", Values::Bytes(bytes));
        let path = file(folder.path(), &[class.clone(), bytes, names]);
        let [first, _, third] = files;
        let expected = [
            PhotoSource::bytes(first, b"one".to_vec()),
            PhotoSource::bytes(unnamed, b"two".to_vec()),
            PhotoSource::file(third),
        ];
        assert_eq!(photos(&path, 0..3), expected);
        assert_eq!(photos(&path, 1..9), expected[1..]);
        assert_eq!(photos(&path, 2..2), []);

        let path = file(
            folder.path(),
            &[class, Column::new("image", text(&["", "", ""]))],
        );
        let error = PhotoTable::open(&path).err().unwrap().to_string();
        assert!(error.contains("found class, image"), "{error}");
    }

    #[test]
    fn parts_of_several_groups_are_all_rows() {
        let folder = tempfile::tempdir().unwrap();
        let rows = super::super::GROUP + 50;
        let bytes = |row: usize| row.to_string().into_bytes();
        let all = (0..rows).map(|row| Some(bytes(row))).collect();
        let path = file(folder.path(), &[Column::new("bytes", Values::Bytes(all))]);
        for part in [0..3, rows - 60..rows - 40, rows - 2..rows] {
            let found = photos(&path, part.clone());
            let name = |row| PathBuf::from(format!("{}#{row}", path.display()));
            let expected = part.map(|row| PhotoSource::bytes(name(row), bytes(row)));
            assert_eq!(found, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn broken_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let values = (0..40).map(|at| Some(vec![at; 40])).collect();
        let columns = [
            Column::new("bytes", Values::Bytes(values)),
            Column::new("photo", text(&["a.jpg"; 40])),
        ];
        let path = file(folder.path(), &columns);
        let whole = std::fs::read(&path).unwrap();
        let mut failed = 0;
        for at in (0..whole.len()).step_by(3) {
            let mut broken = whole.clone();
            broken[at] ^= 0x55;
            std::fs::write(&path, &broken).unwrap();
            let photos = PhotoTable::open(&path).and_then(|table| table.photos(0..40));
            let all = photos.and_then(|photos| photos.collect::<Result<Vec<_>>>());
            failed += usize::from(all.is_err());
            assert!(all.is_err() || all.is_ok_and(|photos| photos.len() == 40));
        }
        // The other bytes are photos, names, and what is not read.
        assert!(failed > whole.len() / 30, "{failed} of {}", whole.len());
    }
}
