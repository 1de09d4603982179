//! Files inside a zip, read within the budget.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::Budget;
use crate::checkpoint::readers::ReadError;

pub(super) type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// Reads one file of the archive. The stated size is checked, since it may be wrong.
pub(super) fn entry(
    archive: &mut Archive<'_>,
    path: &str,
    budget: &mut Budget,
) -> Result<Vec<u8>, ReadError> {
    let broken = |error: &dyn std::fmt::Display| ReadError::malformed(path, error);
    let file = archive.by_name(path).map_err(|error| broken(&error))?;
    let size = file.size();
    budget.take(path, size)?;
    let mut bytes = Vec::new();
    file.take(size.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| broken(&error))?;
    if bytes.len() as u64 != size {
        return Err(broken(&"its size is not what the directory says"));
    }
    Ok(bytes)
}
