//! Whether a network's predictors go together with its anchors.

use crate::error::DetectError;

/// What is predicted from one map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Predicted {
    /// Number of cells.
    pub(crate) cells: usize,
    /// Numbers of a cell's boxes, four for each.
    pub(crate) boxes: usize,
    /// Scores of a cell's boxes.
    pub(crate) scores: usize,
}

fn count(what: &'static str, expected: usize, found: usize) -> Result<(), DetectError> {
    match expected == found {
        true => Ok(()),
        false => Err(DetectError::Count {
            what,
            expected,
            found,
        }),
    }
}

/// Checks that there is a box for each anchor and that all boxes have as many scores, and returns how
/// many.
///
/// # Errors
/// Names what there is too much or too little of.
pub(crate) fn columns(maps: &[Predicted], anchors: usize) -> Result<usize, DetectError> {
    let numbers = maps.iter().map(|map| map.cells * map.boxes).sum();
    count(
        "numbers of boxes, four for each anchor",
        4 * anchors,
        numbers,
    )?;
    let columns = maps
        .first()
        .map_or(0, |map| 4 * map.scores / map.boxes.max(1));
    for map in maps {
        count("numbers of a cell's boxes", map.boxes / 4 * 4, map.boxes)?;
        count("scores of a cell", map.boxes / 4 * columns, map.scores)?;
    }
    Ok(columns)
}
