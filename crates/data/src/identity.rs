//! Tells data sets apart without reading photos.

use std::path::Path;

use super::ImageDataset;

/// Number of photos, and a checksum of their names, classes and targets. Folders may be elsewhere on other machines, so a photo counts by
/// its name, its class and the last folder.
pub fn identity(data: &dyn ImageDataset) -> String {
    let mut sum = 0;
    for index in 0..data.len() {
        sum = with_name(sum, Path::new(&data.name(index)));
        sum = crc32c::crc32c_append(sum, &(data.label(index) as u64).to_le_bytes());
    }
    for name in data.class_names() {
        sum = crc32c::crc32c_append(sum, name.as_bytes());
    }
    for row in data.targets().iter().flat_map(|targets| targets.rows()) {
        for value in row {
            sum = crc32c::crc32c_append(sum, &value.to_le_bytes());
        }
    }
    counted(data.len(), sum)
}

/// Adds a photo's name and its last folder to a checksum.
pub(super) fn with_name(sum: u32, path: &Path) -> u32 {
    let parts = path.iter().rev().take(2);
    parts.fold(sum, |sum, part| {
        crc32c::crc32c_append(sum, part.as_encoded_bytes())
    })
}

pub(super) fn counted(photos: usize, sum: u32) -> String {
    format!("{photos} with checksum {sum:08x}")
}
