//! Tables as Parquet, for the programs that read it (pandas, Polars, DuckDB, Spark). Written only.

use std::sync::Arc;

use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

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
