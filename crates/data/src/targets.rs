//! Rows of numbers: what the network's outputs should be, where photos have no class.

use super::error::DataError;

/// Most numbers of a table, 1 GiB.
pub const MOST_TARGETS: usize = 1 << 28;

/// Rows of the same width.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    width: usize,
    values: Vec<f32>,
}

impl Targets {
    /// `rows` rows of NaN, which stands for a number that is not known.
    ///
    /// # Errors
    /// [`DataError::TooLarge`] if there are more than [`MOST_TARGETS`] numbers.
    pub fn unknown(location: &str, rows: usize, width: usize) -> Result<Self, DataError> {
        let count = rows.saturating_mul(width);
        if count > MOST_TARGETS {
            let bytes = |count: usize| (count as u64).saturating_mul(4);
            return Err(DataError::TooLarge {
                location: location.to_string(),
                needed: bytes(count),
                limit: bytes(MOST_TARGETS),
            });
        }
        Ok(Self {
            width,
            values: vec![f32::NAN; count],
        })
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The row with this number, if there is one.
    pub fn row(&self, row: usize) -> Option<&[f32]> {
        let start = row.checked_mul(self.width)?;
        self.values.get(start..start.checked_add(self.width)?)
    }

    /// All rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }

    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        self.values.chunks_exact_mut(self.width.max(1))
    }
}
