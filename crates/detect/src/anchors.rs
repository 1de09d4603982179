//! Anchors: the boxes that a single-shot detector starts from, a few for each cell of each map.

use crate::error::DetectError;

/// Centre and size, `[y, x, height, width]`, from 0 to 1 of the image's sides.
pub type Anchor = [f32; 4];

/// Most anchors of a network: 512 times those of SSD 300.
pub const MOST_ANCHORS: usize = 1 << 20;

/// Where a cell's square box of the size between two maps' sizes comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnchorOrder {
    /// Last, as TensorFlow has it since November 2017.
    #[default]
    Last,
    /// Second, right after the other square box, as it was before.
    Second,
}

/// The rule of TensorFlow's `create_ssd_anchors`.
#[derive(Debug, Clone, PartialEq)]
pub struct AnchorRule {
    /// Size of the boxes of the first map and of the last, where 1 is the image's.
    pub scales: [f64; 2],
    /// Width divided by height of a cell's boxes.
    pub ratios: Vec<f64>,
    /// Whether the first map has three boxes only: a small square, and two of the first scale.
    pub reduced_first: bool,
    /// The order of a cell's boxes.
    pub order: AnchorOrder,
}

impl Default for AnchorRule {
    fn default() -> Self {
        Self {
            scales: [0.2, 0.95],
            // TensorFlow's configurations have 0.3333, not a third.
            ratios: vec![1.0, 2.0, 0.5, 3.0, 0.3333],
            reduced_first: true,
            order: AnchorOrder::default(),
        }
    }
}

impl AnchorRule {
    /// Scale and ratio of the boxes of a cell of map `map` of `maps`.
    fn boxes(&self, map: usize, maps: usize) -> Vec<(f64, f64)> {
        let [first, last] = self.scales;
        let steps = maps.saturating_sub(1).max(1) as f64;
        let scale = |map: usize| match map < maps {
            true => first + (last - first) * map as f64 / steps,
            false => 1.0,
        };
        if map == 0 && self.reduced_first {
            return vec![(0.1, 1.0), (scale(0), 2.0), (scale(0), 0.5)];
        }
        let mut boxes: Vec<_> = self.ratios.iter().map(|&r| (scale(map), r)).collect();
        let between = ((scale(map) * scale(map + 1)).sqrt(), 1.0);
        match self.order {
            AnchorOrder::Last => boxes.push(between),
            AnchorOrder::Second => boxes.insert(1.min(boxes.len()), between),
        }
        boxes
    }

    /// How many boxes a cell of map `map` of `maps` has.
    pub fn per_cell(&self, map: usize, maps: usize) -> usize {
        self.boxes(map, maps).len()
    }

    /// All anchors for an image of `size` rows and columns: by map, row, column, box. Computed in
    /// f32, as TensorFlow does.
    ///
    /// # Errors
    /// [`DetectError::Limit`] if there are more than [`MOST_ANCHORS`].
    pub fn anchors(
        &self,
        grids: &[[usize; 2]],
        size: [usize; 2],
    ) -> Result<Vec<Anchor>, DetectError> {
        let maps = grids.len();
        let count = grids
            .iter()
            .enumerate()
            .try_fold(0usize, |sum, (map, grid)| {
                let cells = grid[0].checked_mul(grid[1])?;
                sum.checked_add(cells.checked_mul(self.per_cell(map, maps))?)
            });
        let count = count.filter(|&count| count <= MOST_ANCHORS);
        let count = count.ok_or(DetectError::Limit {
            what: "anchors",
            most: MOST_ANCHORS,
        })?;
        // Boxes are squares in pixels, also where the image is not.
        let side = size[0].min(size[1]) as f32;
        let base = size.map(|length| side / length as f32);
        let mut anchors = Vec::with_capacity(count);
        for (map, &[rows, columns]) in grids.iter().enumerate() {
            let boxes = self.boxes(map, maps).into_iter().map(|(scale, ratio)| {
                let (scale, root) = (scale as f32, (ratio as f32).sqrt());
                [scale / root * base[0], scale * root * base[1]]
            });
            let boxes: Vec<[f32; 2]> = boxes.collect();
            let step = [1.0 / rows as f32, 1.0 / columns as f32];
            let centre = |index: usize, step: f32| index as f32 * step + 0.5 * step;
            for row in 0..rows {
                for column in 0..columns {
                    let (y, x) = (centre(row, step[0]), centre(column, step[1]));
                    anchors.extend(boxes.iter().map(|&[height, width]| [y, x, height, width]));
                }
            }
        }
        Ok(anchors)
    }
}

/// Checks anchors that a file brings.
///
/// # Errors
/// If there are too many, or one is not finite or has no area.
pub fn check_anchors(anchors: &[Anchor]) -> Result<(), DetectError> {
    if anchors.is_empty() || anchors.len() > MOST_ANCHORS {
        return Err(DetectError::Limit {
            what: "anchors",
            most: MOST_ANCHORS,
        });
    }
    let sound = |anchor: &Anchor| {
        let [_, _, height, width] = *anchor;
        anchor.iter().all(|value| value.is_finite()) && height > 0.0 && width > 0.0
    };
    match anchors.iter().position(|anchor| !sound(anchor)) {
        None => Ok(()),
        Some(index) => Err(DetectError::Anchor {
            index,
            found: anchors[index],
        }),
    }
}
