//! A CSV file whose first line names its columns. Fields may have double quotes, and end with the line.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::DataError;
use super::photo_list::read_text;

/// Most columns: more are no table that somebody meant.
const MOST_COLUMNS: usize = 1 << 16;

/// A table as text.
pub struct Table {
    path: PathBuf,
    text: String,
    /// Names of the columns, at least two.
    pub columns: Vec<String>,
}

/// A line of a table, with as many fields as there are columns.
pub struct Row<'a> {
    table: &'a Table,
    number: usize,
    /// Their text, without quotes.
    pub fields: Vec<Cow<'a, str>>,
}

impl Table {
    /// Reads the file and its first line. `expected` says what the columns should be.
    ///
    /// # Errors
    /// If it cannot be read, or has no two columns.
    pub fn read(path: &Path, expected: &str) -> Result<Self, DataError> {
        let text = read_text(path)?;
        let mut table = Self {
            path: path.to_path_buf(),
            text,
            columns: Vec::new(),
        };
        let (number, line) = table.lines().next().unwrap_or((1, ""));
        let fields = fields(line).ok_or_else(|| table.wrong_quotes(number))?;
        if !(2..=MOST_COLUMNS).contains(&fields.len()) {
            let found = format!("{} columns", fields.len());
            return Err(table.malformed(number, expected, found));
        }
        let columns = fields.into_iter().map(Cow::into_owned).collect();
        table.columns = columns;
        Ok(table)
    }

    /// Where it was read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file named in the table, whose folder paths begin at.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(name)
    }

    /// The rows below the first line.
    pub fn rows(&self) -> impl Iterator<Item = Result<Row<'_>, DataError>> {
        self.lines().skip(1).map(|(number, line)| {
            let fields = fields(line).ok_or_else(|| self.wrong_quotes(number))?;
            if fields.len() != self.columns.len() {
                let expected = format!("{} fields", self.columns.len());
                return Err(self.malformed(number, expected, fields.len()));
            }
            Ok(Row {
                table: self,
                number,
                fields,
            })
        })
    }

    /// Number of rows.
    ///
    /// # Errors
    /// If there are none.
    pub fn count(&self) -> Result<usize, DataError> {
        match self.lines().count().saturating_sub(1) {
            0 => Err(self.malformed(2, "a photo", "none")),
            count => Ok(count),
        }
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        // Spreadsheets begin their files with a mark of the encoding.
        let text = self.text.strip_prefix('\u{feff}').unwrap_or(&self.text);
        (1..)
            .zip(text.lines())
            .filter(|(_, line)| !line.trim().is_empty())
    }

    fn wrong_quotes(&self, number: usize) -> DataError {
        self.malformed(number, "fields in whole quotes", "other quotes")
    }

    /// The error of a line.
    pub fn malformed(
        &self,
        number: usize,
        expected: impl ToString,
        found: impl ToString,
    ) -> DataError {
        let location = format!("{}, line {number}", self.path.display());
        DataError::malformed(location, expected, found)
    }
}

impl Row<'_> {
    /// The file in the first column.
    pub fn file(&self) -> PathBuf {
        self.table.file(self.text(0))
    }

    /// The text of a field; empty beyond the last.
    pub fn text(&self, column: usize) -> &str {
        self.fields.get(column).map_or("", AsRef::as_ref)
    }

    /// A finite number.
    ///
    /// # Errors
    /// If the field holds something else.
    pub fn number(&self, column: usize) -> Result<f64, DataError> {
        let number = self.text(column).parse().ok();
        let finite = number.filter(|number: &f64| number.is_finite());
        finite.ok_or_else(|| self.wrong(column, "a number"))
    }

    /// The error of a field.
    pub fn wrong(&self, column: usize, expected: &str) -> DataError {
        let name = self.table.columns.get(column).map_or("", String::as_str);
        let found = format!("`{}`", self.text(column));
        let expected = format!("{expected} in column `{name}`");
        self.table.malformed(self.number, expected, found)
    }
}

/// The fields of a line without their quotes; a doubled quote inside stands for one. `None` if a quote
/// is not where it belongs.
fn fields(line: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.trim_start().strip_prefix('"') {
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (field, after) = rest.split_at(end);
                (Cow::Borrowed(field.trim()), after)
            }
            Some(quoted) => {
                let end = closing_quote(quoted)?;
                let (field, after) = (quoted.get(..end)?, quoted.get(end + 1..)?);
                (Cow::Owned(field.replace("\"\"", "\"")), after.trim_start())
            }
        };
        fields.push(field);
        if after.is_empty() {
            return Some(fields);
        }
        rest = after.strip_prefix(',')?;
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut quotes = text.match_indices('"').map(|(at, _)| at).peekable();
    while let Some(at) = quotes.next() {
        if quotes.next_if_eq(&(at + 1)).is_none() {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::fields;

    #[test]
    fn quotes_hold_commas_and_quotes() {
        let found = |line| fields(line).map(|all| all.join("|"));
        assert_eq!(found("a, b ,c").as_deref(), Some("a|b|c"));
        assert_eq!(
            found("\"a, \"\"b\"\"\" ,c,").as_deref(),
            Some("a, \"b\"|c|")
        );
        assert_eq!(found("").as_deref(), Some(""));
        assert_eq!(found("\"\",\"\"\"\"").as_deref(), Some("|\""));
        for wrong in ["\"a", "\"a\"b,c", "\"a\"\""] {
            assert_eq!(found(wrong), None, "{wrong}");
        }
    }
}
