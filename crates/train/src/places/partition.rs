//! The earth in cells, small where there are many photos.

use super::cell::Cell;
use super::{Place, refused};
use crate::data::{DataError, MOST_CLASSES};

/// How many photos a cell has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionLimits {
    /// Cells with fewer are left out.
    pub least: usize,
    /// Cells with more are divided.
    pub most: usize,
}

impl Default for PartitionLimits {
    /// The coarsest of those published for GeoEstimation.
    fn default() -> Self {
        Self {
            least: 50,
            most: 5000,
        }
    }
}

/// Cells that do not overlap, in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    cells: Vec<Cell>,
}

impl Partition {
    /// Divides cells with too many places, beginning with the six faces of the cube, and leaves out those
    /// with too few.
    ///
    /// # Errors
    /// [`DataError::Settings`] if that leaves no cell, or more than [`MOST_CLASSES`].
    pub fn new(places: &[Place], limits: PartitionLimits) -> Result<Self, DataError> {
        let mut inside: Vec<Cell> = places.iter().map(|&place| Cell::of(place)).collect();
        inside.sort_unstable();
        let count = |cell: Cell| {
            let before = inside.partition_point(|one| one.number() < cell.first());
            let up_to = inside.partition_point(|one| one.number() <= cell.last());
            up_to - before
        };
        let mut waiting = Cell::faces().to_vec();
        let mut cells = Vec::new();
        while let Some(cell) = waiting.pop() {
            let photos = count(cell);
            if photos < limits.least.max(1) {
                continue;
            }
            match cell.parts() {
                Some(parts) if photos > limits.most => waiting.extend(parts),
                _ => cells.push(cell),
            }
        }
        cells.sort_unstable();
        if cells.is_empty() || cells.len() > MOST_CLASSES {
            return Err(refused(format!(
                "{} cells of {} to {} photos from {} coordinates, expected 1 to {MOST_CLASSES}",
                cells.len(),
                limits.least,
                limits.most,
                places.len()
            )));
        }
        Ok(Self { cells })
    }

    /// The partition whose cells have these names, in its order.
    ///
    /// # Errors
    /// [`DataError::Settings`] if a name is none of a cell, or cells overlap.
    pub fn of_names(names: &[String]) -> Result<Self, DataError> {
        let named = |name: &String| {
            let cell = Cell::of_token(name);
            cell.ok_or_else(|| refused(format!("the class `{name}` is no cell of the earth")))
        };
        let cells: Vec<Cell> = names.iter().map(named).collect::<Result<_, _>>()?;
        let in_order = |pair: &[Cell]| matches!(pair, [a, b] if a.last() < b.first());
        if !cells.windows(2).all(in_order) {
            return Err(refused("cells that overlap, or in another order".into()));
        }
        Ok(Self { cells })
    }

    /// The cells.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.cells.iter().map(|cell| cell.token()).collect()
    }

    /// Number of the cell with this place, if it is in one.
    pub fn find(&self, place: Place) -> Option<usize> {
        let inside = Cell::of(place);
        let next = self
            .cells
            .partition_point(|cell| cell.last() < inside.number());
        let found = self.cells.get(next)?;
        found.contains(inside).then_some(next)
    }
}
