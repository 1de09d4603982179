//! A list of photos with attributes, each of which a photo has or not, or to some degree.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::table::{Row, Table};
use super::target_photos::TargetPhotos;
use super::targets::Targets;
use super::{DataError, MOST_CLASSES};

/// Names of a second column whose fields are lists of attributes.
const LISTS: [&str; 5] = ["labels", "label", "tags", "attributes", "classes"];

/// Opens a list whose first line names the columns. The first column has paths, relative to the list's
/// folder. The others are
///
/// * one column for each attribute, with its probability from 0 to 1, or nothing where it is not known;
/// * or one column with the name `labels` (`label`, `tags`, `attributes`, `classes`): the photo's
///   attributes, with `|` between them, or nothing.
///
/// The attributes are `names`, in their order, if given. Otherwise they are those of the columns, or all
/// names in the lists, sorted.
///
/// # Errors
/// If the list cannot be read, has no photos, or has another attribute or a number that is no probability.
pub fn open(list: &Path, names: Option<&[String]>) -> Result<TargetPhotos, DataError> {
    let table = Table::read(
        list,
        "`photo,labels`, or `photo` and a column for each attribute",
    )?;
    let is_list = |name: &String| LISTS.contains(&name.to_ascii_lowercase().as_str());
    match &table.columns[..] {
        [_, column] if is_list(column) => of_lists(&table, names),
        _ => of_columns(&table, names),
    }
}

fn of_columns(table: &Table, names: Option<&[String]>) -> Result<TargetPhotos, DataError> {
    let columns = table.columns.get(1..).unwrap_or_default();
    let names = names.unwrap_or(columns).to_vec();
    let by_name: HashMap<&str, usize> = columns.iter().map(String::as_str).zip(1..).collect();
    if by_name.len() != columns.len() {
        return Err(table.malformed(1, "a name for each attribute", "a name twice"));
    }
    let places: Vec<usize> = names
        .iter()
        .map(|name| {
            let place = by_name.get(name.as_str()).copied();
            place.ok_or_else(|| table.malformed(1, format!("a column `{name}`"), "none"))
        })
        .collect::<Result<_, _>>()?;
    fill(table, names, |row, targets| {
        for (target, &column) in targets.iter_mut().zip(&places) {
            *target = probability(row, column)?;
        }
        Ok(())
    })
}

/// NaN where it is not known.
fn probability(row: &Row<'_>, column: usize) -> Result<f32, DataError> {
    if row.text(column).is_empty() {
        return Ok(f32::NAN);
    }
    match row.number(column) {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value as f32),
        _ => Err(row.wrong(column, "a probability from 0 to 1, or nothing,")),
    }
}

fn of_lists(table: &Table, names: Option<&[String]>) -> Result<TargetPhotos, DataError> {
    let names = match names {
        Some(names) => names.to_vec(),
        None => {
            let mut all = BTreeSet::new();
            for row in table.rows() {
                let row = row?;
                all.extend(attributes(&row).map(str::to_string));
                if all.len() > MOST_CLASSES {
                    return Err(row.wrong(1, &format!("at most {MOST_CLASSES} attributes")));
                }
            }
            all.into_iter().collect()
        }
    };
    if names.is_empty() {
        return Err(table.malformed(2, "attributes", "none on all lines"));
    }
    let places: HashMap<String, usize> = names.iter().cloned().zip(0..).collect();
    fill(table, names, |row, targets| {
        targets.fill(0.0);
        for name in attributes(row) {
            let target = places.get(name).and_then(|&place| targets.get_mut(place));
            let expected = "attributes of the training";
            *target.ok_or_else(|| row.wrong(1, expected))? = 1.0;
        }
        Ok(())
    })
}

fn attributes<'a>(row: &'a Row<'_>) -> impl Iterator<Item = &'a str> {
    let all = row.text(1).split('|').map(str::trim);
    all.filter(|name| !name.is_empty())
}

/// The photos of a table, whose rows of numbers `write` writes.
pub(super) fn fill(
    table: &Table,
    names: Vec<String>,
    write: impl Fn(&Row<'_>, &mut [f32]) -> Result<(), DataError>,
) -> Result<TargetPhotos, DataError> {
    let location = table.path().display().to_string();
    let mut targets = Targets::unknown(&location, table.count()?, names.len())?;
    let mut files: Vec<PathBuf> = Vec::new();
    for (row, targets) in table.rows().zip(targets.rows_mut()) {
        let row = row?;
        write(&row, targets)?;
        files.push(row.file());
    }
    Ok(TargetPhotos::new(files, names, targets))
}
