//! Chunked datasets: a B-tree of chunks, which filters may have compressed.

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::cursor::{Cursor, Result, malformed};
use super::file::{File, STEP, UNDEFINED};
use crate::checkpoint::readers::{Budget, volume};

const PLACE: &str = "HDF5 chunk B-tree";

/// Far more levels than the tree of any file below a gigabyte has.
const MOST_LEVELS: u8 = 16;

/// A transformation of a chunk before it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    Deflate,
    /// Stores the first bytes of all values, then all second bytes, and so on.
    Shuffle,
    /// Appends a checksum of 4 bytes.
    Fletcher32,
}

/// The filters of a dataset, in the order in which the writer applied them.
pub(super) fn filters(body: &[u8]) -> Result<Vec<Filter>> {
    let place = "HDF5 filters";
    let mut cursor = Cursor::new(body, place);
    let (version, count) = (cursor.u8()?, cursor.u8()?);
    cursor.take(if version == 1 { 6 } else { 0 })?;
    (0..count)
        .map(|_| {
            let id = cursor.u16()?;
            let name = if version == 1 || id >= 256 {
                usize::from(cursor.u16()?)
            } else {
                0
            };
            cursor.take(2)?;
            let values = usize::from(cursor.u16()?);
            let padded = version == 1;
            cursor.take(if padded {
                name.next_multiple_of(8)
            } else {
                name
            })?;
            cursor.take(4 * (values + usize::from(padded && values % 2 == 1)))?;
            match id {
                1 => Ok(Filter::Deflate),
                2 => Ok(Filter::Shuffle),
                3 => Ok(Filter::Fletcher32),
                other => Err(malformed(place, format!("filter {other} is not supported"))),
            }
        })
        .collect()
}

struct Dataset<'a> {
    file: &'a File<'a>,
    shape: &'a [usize],
    chunk: &'a [usize],
    element: usize,
    /// Bytes of an unfiltered chunk.
    bytes: usize,
    filters: &'a [Filter],
}

/// All values in row-major order. The caller has taken their size off the budget.
pub(super) fn chunked(
    file: &File<'_>,
    tree: u64,
    shape: &[usize],
    chunk: &[usize],
    element: usize,
    filters: &[Filter],
    budget: &mut Budget,
) -> Result<Vec<u8>> {
    let size = |shape: &[usize]| {
        volume(PLACE, shape)?
            .checked_mul(element)
            .ok_or_else(|| malformed(PLACE, "a size overflows"))
    };
    let dataset = Dataset {
        file,
        shape,
        chunk,
        element,
        bytes: size(chunk)?,
        filters,
    };
    if chunk.contains(&0) || element == 0 {
        return Err(malformed(PLACE, "empty chunks"));
    }
    // Values outside all chunks have the fill value, which is zero in h5py's files.
    let mut values = vec![0; size(shape)?];
    if tree != UNDEFINED {
        dataset.node(tree, None, &mut values, budget)?;
    }
    Ok(values)
}

impl Dataset<'_> {
    fn node(
        &self,
        address: u64,
        level: Option<u8>,
        values: &mut [u8],
        budget: &mut Budget,
    ) -> Result<()> {
        let mut cursor = self.file.at(address, PLACE)?;
        cursor.expect(b"TREE")?;
        let (node_type, own_level, used) = (cursor.u8()?, cursor.u8()?, cursor.u16()?);
        if node_type != 1
            || own_level > MOST_LEVELS
            || level.is_some_and(|level| level != own_level)
        {
            return Err(malformed(PLACE, "a node of another kind or level"));
        }
        cursor.take(16)?;
        for _ in 0..used {
            budget.take(PLACE, STEP)?;
            let (size, skipped) = (cursor.u32()?, cursor.u32()?);
            let offsets = self
                .chunk
                .iter()
                .map(|_| usize::try_from(cursor.u64()?).map_err(|error| malformed(PLACE, error)))
                .collect::<Result<Vec<usize>>>()?;
            cursor.take(8)?;
            let child = cursor.u64()?;
            match own_level.checked_sub(1) {
                Some(below) => self.node(child, Some(below), values, budget)?,
                None => {
                    let stored = self.file.slice(child, size.into(), PLACE)?;
                    let chunk = self.unfilter(stored, skipped, budget)?;
                    self.copy(&chunk, &offsets, values)?;
                }
            }
        }
        Ok(())
    }

    /// Undoes the filters of a chunk. If bit `i` of `skipped` is set, filter `i` was not applied.
    fn unfilter(&self, stored: &[u8], skipped: u32, budget: &mut Budget) -> Result<Vec<u8>> {
        budget.take(PLACE, (stored.len() as u64).max(self.bytes as u64))?;
        let mut bytes = stored.to_vec();
        for (i, filter) in self.filters.iter().enumerate().rev() {
            if skipped.checked_shr(i as u32).unwrap_or(0) & 1 == 1 {
                continue;
            }
            bytes = match filter {
                Filter::Deflate => {
                    // At most a chunk and its checksum.
                    let most = self.bytes.saturating_add(4);
                    budget.take(PLACE, most as u64)?;
                    let mut inflated = Vec::new();
                    ZlibDecoder::new(bytes.as_slice())
                        .take(most as u64)
                        .read_to_end(&mut inflated)
                        .map_err(|error| malformed(PLACE, error))?;
                    inflated
                }
                Filter::Shuffle => {
                    let count = bytes.len() / self.element;
                    let whole = count * self.element;
                    budget.take(PLACE, bytes.len() as u64)?;
                    let mut straight = bytes.clone();
                    for (i, value) in straight[..whole].iter_mut().enumerate() {
                        *value = bytes[(i % self.element) * count + i / self.element];
                    }
                    straight
                }
                Filter::Fletcher32 => {
                    bytes.truncate(bytes.len().saturating_sub(4));
                    bytes
                }
            };
        }
        if bytes.len() != self.bytes {
            let (found, expected) = (bytes.len(), self.bytes);
            let problem = format!("a chunk of {found} bytes, expected {expected}");
            return Err(malformed(PLACE, problem));
        }
        Ok(bytes)
    }

    /// Copies a chunk to its position. Chunks at the edge may reach beyond the dataset.
    fn copy(&self, chunk: &[u8], offsets: &[usize], values: &mut [u8]) -> Result<()> {
        let outside = || malformed(PLACE, format!("a chunk at {offsets:?} is outside"));
        let inside = offsets.iter().zip(self.shape).all(|(o, size)| o < size);
        if !inside {
            return Err(outside());
        }
        let Some((&row, outer)) = self.chunk.split_last() else {
            // The dataset has no axes: a single value.
            values.copy_from_slice(chunk);
            return Ok(());
        };
        let last = outer.len();
        let kept = row.min(self.shape[last] - offsets[last]) * self.element;
        let mut index = vec![0; last];
        for source in chunk.chunks_exact(row * self.element) {
            let start = index
                .iter()
                .zip(offsets)
                .zip(self.shape)
                .try_fold(0usize, |start, ((i, offset), size)| {
                    (i + offset < *size).then(|| start * size + i + offset)
                })
                .map(|start| (start * self.shape[last] + offsets[last]) * self.element);
            if let Some(start) = start {
                values
                    .get_mut(start..start + kept)
                    .ok_or_else(outside)?
                    .copy_from_slice(&source[..kept]);
            }
            for (i, size) in index.iter_mut().zip(outer).rev() {
                *i += 1;
                if *i < *size {
                    break;
                }
                *i = 0;
            }
        }
        Ok(())
    }
}
