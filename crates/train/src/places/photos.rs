//! A list of photos with the places where they were taken.

use std::path::{Path, PathBuf};

use super::partition::Partition;
use super::{Place, refused};
use crate::data::{DataError, ImageFiles, Table};

/// Photos and places.
#[derive(Debug, Clone)]
pub struct PlacePhotos {
    files: Vec<PathBuf>,
    places: Vec<Place>,
}

/// Opens a list whose first line names its three columns: a path, relative to the list's folder, the
/// latitude and the longitude in degrees, which is -180 to 180.
///
/// # Errors
/// If the list cannot be read, has no photos or other columns, or a place does not exist.
pub fn open(list: &Path) -> Result<PlacePhotos, DataError> {
    let expected = "`photo,latitude,longitude`";
    let table = Table::read(list, expected)?;
    let names = table.columns.iter().map(|name| name.to_ascii_lowercase());
    let names: Vec<String> = names.collect();
    let is_expected = matches!(&names[..], [_, latitude, longitude]
        if latitude.starts_with("lat") && (longitude.starts_with("lon") || longitude == "lng"));
    if !is_expected {
        return Err(table.malformed(1, expected, format!("`{}`", table.columns.join(","))));
    }
    table.count()?;
    let (mut files, mut places) = (Vec::new(), Vec::new());
    for row in table.rows() {
        let row = row?;
        let (latitude, longitude) = (row.number(1)?, row.number(2)?);
        let place = Place::new(latitude, longitude);
        let column = if latitude.abs() > 90.0 { 1 } else { 2 };
        places.push(place.ok_or_else(|| row.wrong(column, "degrees on earth"))?);
        files.push(row.file());
    }
    Ok(PlacePhotos { files, places })
}

impl PlacePhotos {
    /// The places, in the list's order.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The photos in cells, with these as classes, and the number of the others.
    ///
    /// # Errors
    /// [`DataError::Settings`] if no photo is in a cell.
    pub fn in_cells(&self, partition: &Partition) -> Result<(ImageFiles, usize), DataError> {
        let all = self.files.iter().zip(&self.places);
        let inside = all.filter_map(|(file, &place)| Some((file.clone(), partition.find(place)?)));
        let inside: Vec<(PathBuf, usize)> = inside.collect();
        if inside.is_empty() {
            return Err(refused(
                "no photo was taken in a cell of the partition".into(),
            ));
        }
        let outside = self.files.len() - inside.len();
        Ok((ImageFiles::new(inside, partition.names())?, outside))
    }

    /// All photos, whose classes are not to be used: for answers that are compared with places.
    ///
    /// # Errors
    /// As [`ImageFiles::new`].
    pub fn unlabelled(&self, partition: &Partition) -> Result<ImageFiles, DataError> {
        let files = self.files.iter().map(|file| (file.clone(), 0));
        ImageFiles::new(files.collect(), partition.names())
    }
}
