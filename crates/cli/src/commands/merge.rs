//! `merge`: makes one table of the parts that `classify --part` has written.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use mobilenet::model::file::write_atomically;

use crate::args::Merge;
use crate::{csv, manifest, output};

pub(crate) fn run(arguments: &Merge) -> Result<()> {
    let out = &arguments.output;
    ensure!(!out.exists(), "cannot write {}: it exists", out.display());
    let ending = out.extension().unwrap_or_default();
    let mut parts = arguments.parts.clone();
    if let Some(other) = parts.iter().find(|part| part.extension() != Some(ending)) {
        bail!(
            "{} and {} are tables of different kinds",
            other.display(),
            out.display()
        );
    }
    in_order(&mut parts)?;
    let manifest = arguments.manifest.as_deref();
    let photos = manifest.map(manifest::read).transpose()?;
    let (bytes, rows) = match ending.to_str() {
        Some("csv") => tables(&parts, photos.as_deref())?,
        Some("jsonl") => lines(&parts, photos.as_deref())?,
        _ => parquet(&parts, photos.as_deref())?,
    };
    write_atomically(out, &bytes).with_context(|| format!("cannot write {}", out.display()))?;
    output::line(format!("{rows} rows of {} parts", parts.len()))
}

/// Puts parts into the order of the numbers in their names, of which none may be missing. Parts
/// without numbers stay in the order given.
fn in_order(parts: &mut [PathBuf]) -> Result<()> {
    let numbers: Option<Vec<usize>> = parts.iter().map(|part| number(part)).collect();
    let Some(mut numbers) = numbers else {
        return Ok(());
    };
    parts.sort_by_key(|part| number(part));
    numbers.sort_unstable();
    for (expected, number) in (numbers.first().copied().unwrap_or(0)..).zip(&numbers) {
        if expected < *number {
            bail!("part {expected} is missing");
        }
        ensure!(expected == *number, "there are two parts {number}");
    }
    Ok(())
}

/// The number at the end of a file's name, before its ending.
fn number(part: &Path) -> Option<usize> {
    let stem = part.file_stem()?.to_str()?;
    let digits = stem.len() - stem.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    stem.get(stem.len() - digits..)?.parse().ok()
}

fn read(part: &Path) -> Result<Vec<u8>> {
    std::fs::read(part).with_context(|| format!("cannot read {}", part.display()))
}

fn tables(parts: &[PathBuf], photos: Option<&[PathBuf]>) -> Result<(Vec<u8>, usize)> {
    let (mut all, mut header, mut found) = (Vec::new(), None, Vec::new());
    for part in parts {
        let text = read(part)?;
        let (fields, whole) = csv::first_fields(&text);
        ensure!(
            whole == text.len() && !fields.is_empty(),
            "{} is no whole table",
            part.display()
        );
        let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(0) + 1;
        let (columns, rows) = text.split_at(end);
        match &header {
            None => {
                all.extend(columns);
                header = Some(columns.to_vec());
            }
            Some(header) if header == columns => {}
            Some(_) => bail!(
                "{} has other columns than {}",
                part.display(),
                parts
                    .first()
                    .map_or("".into(), |first| first.display().to_string())
            ),
        }
        all.extend(rows);
        found.extend(fields.into_iter().skip(1));
    }
    check(&found, photos)?;
    Ok((all, found.len()))
}

fn lines(parts: &[PathBuf], photos: Option<&[PathBuf]>) -> Result<(Vec<u8>, usize)> {
    let (mut all, mut found) = (Vec::new(), Vec::new());
    for part in parts {
        let text = read(part)?;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let value: serde_json::Value = serde_json::from_slice(line)
                .with_context(|| format!("{} is no whole table", part.display()))?;
            let photo = value.get("photo").and_then(|photo| photo.as_str());
            found.push(photo.unwrap_or_default().to_string());
        }
        all.extend(text);
    }
    check(&found, photos)?;
    Ok((all, found.len()))
}

#[cfg(feature = "parquet")]
fn parquet(parts: &[PathBuf], photos: Option<&[PathBuf]>) -> Result<(Vec<u8>, usize)> {
    let (bytes, rows) = mobilenet::parquet::concatenated(parts)?;
    if let Some(photos) = photos {
        count(rows, photos.len())?;
    }
    Ok((bytes, rows))
}

#[cfg(not(feature = "parquet"))]
fn parquet(_: &[PathBuf], _: Option<&[PathBuf]>) -> Result<(Vec<u8>, usize)> {
    bail!("parts are .csv or .jsonl; build this program with --features parquet for .parquet")
}

/// Whether the rows are those of the manifest, in its order.
fn check(found: &[String], photos: Option<&[PathBuf]>) -> Result<()> {
    let Some(photos) = photos else {
        return Ok(());
    };
    for (row, (found, photo)) in (1..).zip(found.iter().zip(photos)) {
        let photo = photo.display().to_string();
        ensure!(
            *found == photo,
            "row {row} is of {found}, the manifest has {photo} there: a part is missing, or of \
             another manifest"
        );
    }
    count(found.len(), photos.len())
}

fn count(rows: usize, photos: usize) -> Result<()> {
    ensure!(
        rows == photos,
        "the parts have {rows} rows, the manifest {photos} photos: a part is missing, or of another \
         manifest"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_sorted_by_number() {
        let order = |names: &[&str]| {
            let mut parts: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
            in_order(&mut parts).map(|()| parts)
        };
        let sorted = order(&["p/10.csv", "p/9.csv", "p/8.csv"]).unwrap();
        assert_eq!(
            sorted,
            ["p/8.csv", "p/9.csv", "p/10.csv"].map(PathBuf::from)
        );
        let given = order(&["b.csv", "a.csv"]).unwrap();
        assert_eq!(given, ["b.csv", "a.csv"].map(PathBuf::from));
        let error = order(&["part-2.csv", "part-0.csv"])
            .unwrap_err()
            .to_string();
        assert_eq!(error, "part 1 is missing");
        assert!(order(&["a/1.csv", "b/1.csv"]).is_err());
    }
}
