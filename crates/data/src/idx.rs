//! IDX, MNIST's format: two zero bytes, the type of the values, the number of dimensions, each
//! dimension as a big-endian u32, then the values. Files are often compressed by gzip.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use mobilenet_photos::Photo;

use super::{DataError, ImageDataset, numbered};

/// Most decompressed bytes of a file that are held in memory.
const MOST_BYTES: u64 = 2 << 30;

/// Type of a file whose values are bytes.
const UNSIGNED_BYTE: u8 = 0x08;

/// Grey images of one size in memory, with labels.
#[derive(Debug, Clone)]
pub struct IdxImages {
    name: String,
    rows: u32,
    columns: u32,
    pixels: Vec<u8>,
    labels: Vec<u8>,
    class_names: Vec<String>,
}

impl IdxImages {
    /// Reads a file of images `[count, rows, columns]` and one of labels `[count]`, both of bytes,
    /// with or without gzip. Classes are `class_names` if given, otherwise the numbers from `0` to
    /// the highest label.
    ///
    /// # Errors
    /// If a file cannot be read, is not an IDX file of this shape, or its length differs from what
    /// it says. Also if the numbers of images and labels differ, or a label has no class.
    pub fn open(
        images: &Path,
        labels: &Path,
        class_names: Option<&[String]>,
    ) -> Result<Self, DataError> {
        let ([count, rows, columns], pixels) = read::<3>(images)?;
        let ([label_count], labels_read) = read::<1>(labels)?;
        if count != label_count {
            let expected = format!("{count} labels, one for each of {}", images.display());
            return Err(DataError::malformed(
                labels.display(),
                expected,
                label_count,
            ));
        }
        let highest = labels_read.iter().copied().max().map_or(0, usize::from);
        let class_names = class_names.map_or_else(|| numbered(highest + 1), <[String]>::to_vec);
        if highest >= class_names.len() {
            let expected = format!("labels below {}", class_names.len());
            return Err(DataError::malformed(labels.display(), expected, highest));
        }
        Ok(Self {
            name: images.display().to_string(),
            rows,
            columns,
            pixels,
            labels: labels_read,
            class_names,
        })
    }
}

impl ImageDataset for IdxImages {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }

    fn label(&self, index: usize) -> usize {
        usize::from(self.labels[index])
    }

    /// A grey image as RGB with three equal channels.
    fn load(&self, index: usize) -> Result<Photo, DataError> {
        let size = self.rows as usize * self.columns as usize;
        let grey = &self.pixels[index * size..][..size];
        let mut rgb = Vec::with_capacity(size * 3);
        rgb.extend(grey.iter().flat_map(|&value| [value; 3]));
        Photo::from_raw(self.columns, self.rows, rgb).ok_or_else(|| {
            let expected = format!("{}x{} pixels", self.columns, self.rows);
            DataError::malformed(self.name(index), expected, size)
        })
    }

    fn name(&self, index: usize) -> String {
        format!("{}, image {index}", self.name)
    }
}

/// Dimensions and values of a file of bytes.
fn read<const DIMENSIONS: usize>(path: &Path) -> Result<([u32; DIMENSIONS], Vec<u8>), DataError> {
    let file = File::open(path).map_err(DataError::read(path))?;
    let mut start = Vec::new();
    let mut file = BufReader::new(file);
    (&mut file)
        .take(2)
        .read_to_end(&mut start)
        .map_err(DataError::read(path))?;
    let compressed = start == [0x1f, 0x8b];
    let file = Cursor::new(start).chain(file);
    if compressed {
        read_values(path, MultiGzDecoder::new(file))
    } else {
        read_values(path, file)
    }
}

fn read_values<const DIMENSIONS: usize>(
    path: &Path,
    mut file: impl Read,
) -> Result<([u32; DIMENSIONS], Vec<u8>), DataError> {
    let malformed = |expected: String, found: String| {
        Err(DataError::malformed(path.display(), expected, found))
    };
    let mut bytes = Vec::new();
    let mut take = |bytes: &mut Vec<u8>, length: u64| {
        (&mut file)
            .take(length)
            .read_to_end(bytes)
            .map_err(DataError::read(path))
    };
    let magic = [0, 0, UNSIGNED_BYTE, DIMENSIONS as u8];
    take(&mut bytes, 4)?;
    if bytes != magic {
        return malformed(
            format!("an IDX file that begins {magic:?}"),
            format!("{bytes:?}"),
        );
    }
    bytes.clear();
    take(&mut bytes, 4 * DIMENSIONS as u64)?;
    let mut dimensions = [0; DIMENSIONS];
    let (sizes, _) = bytes.as_chunks::<4>();
    if sizes.len() != DIMENSIONS {
        return malformed(
            format!("{DIMENSIONS} dimensions"),
            format!("{} bytes", bytes.len()),
        );
    }
    for (dimension, size) in dimensions.iter_mut().zip(sizes) {
        *dimension = u32::from_be_bytes(*size);
    }
    if dimensions.contains(&0) {
        return malformed(
            "at least one value".into(),
            format!("dimensions {dimensions:?}"),
        );
    }
    let needed = dimensions.iter().fold(1u64, |product, &size| {
        product.saturating_mul(u64::from(size))
    });
    if needed > MOST_BYTES {
        return Err(DataError::TooLarge {
            location: path.display().to_string(),
            needed,
            limit: MOST_BYTES,
        });
    }
    bytes.clear();
    // Memory grows with the actual content, not with the size in the header.
    take(&mut bytes, needed + 1)?;
    if bytes.len() as u64 != needed {
        let found = match bytes.len() as u64 {
            length if length > needed => "more".into(),
            length => format!("{length} bytes"),
        };
        return malformed(format!("{needed} bytes of values, {dimensions:?}"), found);
    }
    Ok((dimensions, bytes))
}
