//! Interpolation between the published widths and sides, on logarithmic scales.

/// The published widths, and sides of images, from small to large.
pub(super) const WIDTHS: [f64; 4] = [0.25, 0.5, 0.75, 1.0];
pub(super) const SIDES: [usize; 4] = [128, 160, 192, 224];

/// A number for each published size.
pub(super) struct Grid {
    /// By width and side.
    values: [[f64; 4]; 4],
}

impl Grid {
    pub(super) fn new(values: [[f64; 4]; 4]) -> Self {
        Self { values }
    }

    /// The number of a size that is `width` wide and has as many pixels as a square of this side.
    /// Beyond the published sizes it is that of the nearest place between them.
    pub(super) fn at(&self, width: f64, side: f64) -> f64 {
        let (row, down) = place(width, WIDTHS);
        let (column, right) = place(side, SIDES.map(|side| side as f64));
        let of_row = |values: &[f64; 4]| {
            let [from, to] = [values[column], values[column + 1]];
            from + right * (to - from)
        };
        let [from, to] = [of_row(&self.values[row]), of_row(&self.values[row + 1])];
        from + down * (to - from)
    }
}

/// Whether a size is between the published ones.
pub(super) fn is_inside(width: f64, side: f64) -> bool {
    let sides = SIDES.map(|side| side as f64);
    (WIDTHS[0]..=WIDTHS[3]).contains(&width) && (sides[0]..=sides[3]).contains(&side)
}

/// The step of a scale that a value falls into, and how far into it, 0 to 1.
fn place(value: f64, scale: [f64; 4]) -> (usize, f64) {
    let step = scale[1..3].iter().filter(|&&next| value >= next).count();
    let [from, to] = [scale[step], scale[step + 1]];
    (
        step,
        ((value / from).ln() / (to / from).ln()).clamp(0.0, 1.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_sizes_are_met_and_others_are_between() {
        let values = [0.0, 10.0, 20.0, 30.0].map(|width| [0.0, 1.0, 2.0, 3.0].map(|s| width + s));
        let grid = Grid::new(values);
        for (row, width) in WIDTHS.into_iter().enumerate() {
            for (column, side) in SIDES.into_iter().enumerate() {
                assert!((grid.at(width, side as f64) - values[row][column]).abs() < 1e-9);
            }
        }
        let half = (0.5f64 * 0.25).sqrt();
        assert!((grid.at(half, 128.0) - 5.0).abs() < 1e-9);
        assert!((grid.at(0.6, 200.0) - grid.at(0.6, 192.0) - 0.2648).abs() < 1e-3);
        assert_eq!(grid.at(0.1, 500.0), 3.0);
        assert!(is_inside(0.3, 200.0) && !is_inside(0.2, 200.0) && !is_inside(0.5, 225.0));
    }
}
