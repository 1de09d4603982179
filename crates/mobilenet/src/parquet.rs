//! Tables as Parquet, for the programs that read it (pandas, Polars, DuckDB, Spark). Written, and
//! copied. `photos` reads lists of photos.

mod photos;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use parquet::column::writer::{ColumnCloseResult, ColumnWriter};
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

pub use photos::{PhotoTable, Photos};

/// A column of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name: letters, digits and `_`.
    pub name: String,
    /// Its values, one for each row.
    pub values: Values,
}

/// The values of a column. `None` is null.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Text.
    Text(Vec<Option<String>>),
    /// Bytes, such as those of photo files.
    Bytes(Vec<Option<Vec<u8>>>),
    /// Integers.
    Int(Vec<Option<i64>>),
    /// Numbers.
    Double(Vec<Option<f64>>),
    /// A list of as many numbers in each row, row after row.
    Lists {
        /// Numbers in a row.
        width: usize,
        /// All numbers.
        values: Vec<f32>,
    },
}

/// Rows of a group, which readers load at once.
const GROUP: usize = 1 << 16;

/// The bytes of a file with these columns.
///
/// # Errors
/// If the columns have different numbers of rows, or a name is no name.
pub fn to_bytes(columns: &[Column]) -> Result<Vec<u8>> {
    let rows = columns.first().map_or(0, |column| column.values.rows());
    if let Some(other) = columns.iter().find(|column| column.values.rows() != rows) {
        let found = other.values.rows();
        let problem = format!("column {}: expected {rows} rows, found {found}", other.name);
        return Err(ParquetError::General(problem));
    }
    let fields: String = columns.iter().map(Column::field).collect();
    let schema = Arc::new(parse_message_type(&format!(
        "message table {{ {fields} }}"
    ))?);
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties)?;
    for start in (0..rows).step_by(GROUP) {
        let end = rows.min(start + GROUP);
        let mut group = writer.next_row_group()?;
        for column in columns {
            let Some(mut to) = group.next_column()? else {
                return Err(ParquetError::General(format!("no column {}", column.name)));
            };
            column.values.write(start, end, to.untyped())?;
            to.close()?;
        }
        group.close()?;
    }
    writer.into_inner()
}

/// The bytes of a file with the rows of some files, one after the other, and their number. The
/// columns are copied as they are.
///
/// # Errors
/// If a file cannot be read, or has other columns than the first.
pub fn concatenated(paths: &[PathBuf]) -> Result<(Vec<u8>, usize)> {
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let failed = |error: String| {
            ParquetError::General(format!("cannot read {}: {error}", path.display()))
        };
        let file = File::open(path).map_err(|error| failed(error.to_string()))?;
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&file);
        files.push((file, metadata.map_err(|error| failed(error.to_string()))?));
    }
    let Some((_, first)) = files.first() else {
        return Err(ParquetError::General("no files".to_string()));
    };
    let schema = first.file_metadata().schema_descr().root_schema_ptr();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema.clone(), properties)?;
    let mut rows = 0;
    for ((file, metadata), path) in files.iter().zip(paths) {
        if metadata.file_metadata().schema_descr().root_schema() != &*schema {
            let problem = format!("{} has other columns than the first part", path.display());
            return Err(ParquetError::General(problem));
        }
        for group in metadata.row_groups() {
            let mut to = writer.next_row_group()?;
            for column in group.columns() {
                let copied = ColumnCloseResult {
                    bytes_written: u64::try_from(column.compressed_size()).unwrap_or(0),
                    rows_written: u64::try_from(group.num_rows()).unwrap_or(0),
                    metadata: column.clone(),
                    bloom_filter: None,
                    column_index: None,
                    offset_index: None,
                };
                to.append_column(file, copied)?;
            }
            to.close()?;
            rows += usize::try_from(group.num_rows()).unwrap_or(0);
        }
    }
    Ok((writer.into_inner()?, rows))
}

impl Column {
    /// A column of the table.
    pub fn new(name: impl Into<String>, values: Values) -> Self {
        let name = name.into();
        Self { name, values }
    }

    /// Its declaration in the schema.
    fn field(&self) -> String {
        let name = &self.name;
        match &self.values {
            Values::Text(_) => format!("OPTIONAL BYTE_ARRAY {name} (STRING);"),
            Values::Bytes(_) => format!("OPTIONAL BYTE_ARRAY {name};"),
            Values::Int(_) => format!("OPTIONAL INT64 {name};"),
            Values::Double(_) => format!("OPTIONAL DOUBLE {name};"),
            Values::Lists { .. } => format!(
                "REQUIRED GROUP {name} (LIST) {{ REPEATED GROUP list {{ REQUIRED FLOAT element; }} }}"
            ),
        }
    }
}

impl Values {
    fn rows(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Bytes(values) => values.len(),
            Self::Int(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Lists { width, values } => values.len() / (*width).max(1),
        }
    }

    /// Writes some rows.
    fn write(&self, start: usize, end: usize, to: &mut ColumnWriter<'_>) -> Result<()> {
        match (self, to) {
            (Self::Text(values), ColumnWriter::ByteArrayColumnWriter(to)) => {
                let values = &values[start..end];
                let bytes: Vec<ByteArray> = (values.iter().flatten())
                    .map(|text| ByteArray::from(text.as_str()))
                    .collect();
                to.write_batch(&bytes, Some(&present(values)), None)?;
            }
            (Self::Bytes(values), ColumnWriter::ByteArrayColumnWriter(to)) => {
                let values = &values[start..end];
                let bytes: Vec<ByteArray> = (values.iter().flatten())
                    .map(|bytes| ByteArray::from(bytes.clone()))
                    .collect();
                to.write_batch(&bytes, Some(&present(values)), None)?;
            }
            (Self::Int(values), ColumnWriter::Int64ColumnWriter(to)) => {
                let values = &values[start..end];
                let present = present(values);
                let values: Vec<i64> = values.iter().flatten().copied().collect();
                to.write_batch(&values, Some(&present), None)?;
            }
            (Self::Double(values), ColumnWriter::DoubleColumnWriter(to)) => {
                let values = &values[start..end];
                let present = present(values);
                let values: Vec<f64> = values.iter().flatten().copied().collect();
                to.write_batch(&values, Some(&present), None)?;
            }
            (Self::Lists { width, values }, ColumnWriter::FloatColumnWriter(to)) => {
                let values = &values[start * width..end * width];
                // No list is empty, and the first number of each begins a row.
                let present = vec![1; values.len()];
                let repeated: Vec<i16> = (0..values.len())
                    .map(|index| i16::from(index % width > 0))
                    .collect();
                to.write_batch(values, Some(&present), Some(&repeated))?;
            }
            _ => {
                return Err(ParquetError::General(
                    "a column of another type".to_string(),
                ));
            }
        }
        Ok(())
    }
}

/// The definition levels: 1 for a value, 0 for null.
fn present<T>(values: &[Option<T>]) -> Vec<i16> {
    values
        .iter()
        .map(|value| i16::from(value.is_some()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    #[test]
    fn another_reader_finds_the_rows() {
        let text = ["a,b", "ü"].map(|text| Some(text.to_string()));
        let columns = [
            Column::new("photo", Values::Text(text.to_vec())),
            Column::new("error", Values::Text(vec![None, Some("no photo".into())])),
            Column::new("class_1", Values::Int(vec![Some(282), None])),
            Column::new("probability_1", Values::Double(vec![Some(0.5), None])),
            Column::new(
                "features",
                Values::Lists {
                    width: 2,
                    values: vec![1.0, 2.5, 3.0, 0.25],
                },
            ),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        std::fs::write(&path, to_bytes(&columns).unwrap()).unwrap();
        let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
        let rows: Vec<String> = reader
            .get_row_iter(None)
            .unwrap()
            .map(|row| row.unwrap().to_string())
            .collect();
        let expected = [
            r#"{photo: "a,b", error: null, class_1: 282, probability_1: 0.5, features: [1.0, 2.5]}"#,
            r#"{photo: "ü", error: "no photo", class_1: null, probability_1: null, features: [3.0, 0.25]}"#,
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn files_become_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, column: &str, values: &[i64]| {
            let path = folder.path().join(name);
            let values = values.iter().copied().map(Some).collect();
            let columns = [Column::new(column, Values::Int(values))];
            std::fs::write(&path, to_bytes(&columns).unwrap()).unwrap();
            path
        };
        let (first, second) = (file("0", "a", &[1, 2]), file("1", "a", &[3]));
        let empty = file("2", "a", &[]);
        let (bytes, rows) = concatenated(&[first.clone(), second, empty]).unwrap();
        assert_eq!(rows, 3);
        let path = folder.path().join("all");
        std::fs::write(&path, bytes).unwrap();
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        let rows = reader.get_row_iter(None).unwrap();
        let rows: Vec<String> = rows.map(|row| row.unwrap().to_string()).collect();
        assert_eq!(rows, ["{a: 1}", "{a: 2}", "{a: 3}"]);
        let error = concatenated(&[first, file("3", "b", &[1])]).unwrap_err();
        assert!(error.to_string().contains("3 has other columns"), "{error}");
        assert!(concatenated(&[folder.path().join("none")]).is_err());
        assert!(concatenated(&[]).is_err());
    }

    #[test]
    fn rows_that_are_missing_are_an_error() {
        let columns = [
            Column::new("a", Values::Int(vec![None])),
            Column::new("b", Values::Int(vec![])),
        ];
        let error = to_bytes(&columns).unwrap_err().to_string();
        assert!(
            error.contains("column b: expected 1 rows, found 0"),
            "{error}"
        );
    }
}
