//! The layout of a matrix that is packed for the tile kernel. Only this file knows the order of its
//! values.
//!
//! ```text
//! [panels][k][columns of the panel]
//! ```
//!
//! A column is an output channel; a product sums over `k`. Columns are padded with zeros to whole
//! vectors. A few vectors form a panel; the last panel may be narrower. So a kernel reads the
//! values of a panel in the order in which they are stored.

use std::ops::Range;

/// Values of `k` that are read at once from each column. They are one cache line if a column's
/// values are contiguous, and few enough that what is written for a whole panel stays in L1.
const BLOCK: usize = 16;

/// Layout of a packed matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PanelLayout {
    columns: usize,
    width: usize,
    depth: usize,
    panel: usize,
}

impl PanelLayout {
    /// For `columns` columns of `depth` values each, in panels of `vectors` vectors of `lanes`
    /// lanes.
    pub(crate) fn new(columns: usize, depth: usize, lanes: usize, vectors: usize) -> Self {
        Self {
            columns,
            width: columns.next_multiple_of(lanes),
            depth,
            panel: vectors * lanes,
        }
    }

    /// The same matrix in panels of twice the width.
    #[inline(always)]
    pub(crate) fn pairs(self) -> Self {
        let panel = 2 * self.panel;
        Self { panel, ..self }
    }

    /// Number of columns, including the zeros that fill up the last vector.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Values in a column.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Values of the matrix, without padding.
    pub(crate) fn values(&self) -> usize {
        self.columns * self.depth
    }

    /// Values in the packed matrix.
    pub(crate) fn len(&self) -> usize {
        self.width * self.depth
    }

    /// Number of panels.
    pub(crate) fn count(&self) -> usize {
        self.width.div_ceil(self.panel)
    }

    /// Offset of the first value of a column in the packed matrix, and from each to the next.
    pub(crate) fn column(&self, column: usize) -> (usize, usize) {
        let panel = self.panel(column / self.panel);
        (panel.offset() + column - panel.first, panel.width)
    }

    #[inline(always)]
    pub(crate) fn panel(&self, index: usize) -> Panel {
        let first = index * self.panel;
        Panel {
            first,
            columns: self.panel.min(self.columns.saturating_sub(first)),
            width: self.panel.min(self.width - first),
            depth: self.depth,
        }
    }

    pub(crate) fn panels(&self) -> impl Iterator<Item = Panel> + Clone + use<> {
        let layout = *self;
        (0..layout.count()).map(move |index| layout.panel(index))
    }

    /// Packs a matrix, given by `value(column, k)`. `to` must hold zeros, because padding is not
    /// written.
    pub(crate) fn pack<T>(&self, to: &mut [T], value: impl Fn(usize, usize) -> T) {
        for panel in self.panels() {
            panel.pack(&mut to[panel.range()], &value);
        }
    }

    /// Folds `input * scale + shift` of every `k` into a packed matrix and its biases. `affine(k)`
    /// is the scale and the shift. Sums are f64, because large shifts may nearly cancel each other.
    pub(crate) fn fold(
        &self,
        weights: &mut [f32],
        biases: &mut [f32],
        affine: impl Fn(usize) -> (f64, f64),
    ) {
        for panel in self.panels() {
            let biases = &mut biases[panel.first..][..panel.columns];
            let mut sums: Vec<f64> = biases.iter().copied().map(f64::from).collect();
            let weights = &mut weights[panel.range()];
            panel.for_each(|column, k, index| {
                let (scale, shift) = affine(k);
                let weight = f64::from(weights[index]);
                weights[index] = (weight * scale) as f32;
                sums[column - panel.first] += weight * shift;
            });
            for (bias, sum) in biases.iter_mut().zip(sums) {
                *bias = sum as f32;
            }
        }
    }
}

/// A panel of a packed matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panel {
    /// Its first column.
    pub(crate) first: usize,
    /// Columns without padding.
    pub(crate) columns: usize,
    /// Columns, including the zeros that fill up the last vector.
    pub(crate) width: usize,
    pub(crate) depth: usize,
}

impl Panel {
    /// Offset of its first value in the packed matrix. All panels have the same depth.
    #[inline(always)]
    pub(crate) fn offset(&self) -> usize {
        self.first * self.depth
    }

    /// Number of its values.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.width * self.depth
    }

    /// Its columns, and those that fill up the last vector.
    pub(crate) fn all_columns(&self) -> Range<usize> {
        self.first..self.first + self.width
    }

    /// Range of its values in the packed matrix.
    pub(crate) fn range(&self) -> Range<usize> {
        self.offset()..self.offset() + self.len()
    }

    /// Columns of row `k`, as offsets from the panel's first value.
    #[inline(always)]
    pub(crate) fn row(&self, k: usize) -> Range<usize> {
        k * self.width..k * self.width + self.columns
    }

    /// Calls `call(column, k, offset)` for every value that is not padding; the offset is from the
    /// panel's first value. The order is by blocks of `k`, and column by column in a block.
    #[inline(always)]
    pub(crate) fn for_each(&self, mut call: impl FnMut(usize, usize, usize)) {
        for start in (0..self.depth).step_by(BLOCK) {
            let block = start..self.depth.min(start + BLOCK);
            for lane in 0..self.columns {
                for k in block.clone() {
                    call(self.first + lane, k, self.row(k).start + lane);
                }
            }
        }
    }

    /// Packs this panel of a matrix. `to` must hold zeros, because padding is not written.
    #[inline(always)]
    pub(crate) fn pack<T>(&self, to: &mut [T], value: impl Fn(usize, usize) -> T) {
        self.for_each(|column, k, index| to[index] = value(column, k));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_own_offset_and_padding_stays_zero() {
        for columns in [1, 7, 8, 9, 31, 40, 65] {
            for depth in [1, 3, 16, 17, 50] {
                let layout = PanelLayout::new(columns, depth, 8, 2);
                assert_eq!(
                    layout.panels().map(|panel| panel.len()).sum::<usize>(),
                    layout.len()
                );
                let mut packed = vec![0; layout.len()];
                layout.pack(&mut packed, |column, k| 1 + column * depth + k);
                for (column, k) in [(0, 0), (columns / 2, depth / 2), (columns - 1, depth - 1)] {
                    let (first, step) = layout.column(column);
                    assert_eq!(packed[first + k * step], 1 + column * depth + k);
                }
                for panel in layout.panels() {
                    let packed = &packed[panel.range()];
                    for (k, row) in packed.chunks(panel.width).enumerate() {
                        let expected = (panel.first..panel.first + panel.width).map(|column| {
                            if column < columns {
                                1 + column * depth + k
                            } else {
                                0
                            }
                        });
                        assert!(row.iter().copied().eq(expected));
                        assert_eq!(row[..panel.columns], packed[panel.row(k)]);
                    }
                }
            }
        }
    }

    #[test]
    fn a_folded_scale_acts_on_every_k() {
        let layout = PanelLayout::new(11, 20, 4, 2);
        let mut weights = vec![0.0; layout.len()];
        layout.pack(&mut weights, |column, k| (column + k) as f32);
        let mut biases = vec![1.0; layout.width()];
        layout.fold(&mut weights, &mut biases, |k| (2.0, k as f64));
        let mut expected = vec![0.0; layout.len()];
        layout.pack(&mut expected, |column, k| 2.0 * (column + k) as f32);
        assert_eq!(weights, expected);
        for (column, &bias) in biases.iter().enumerate() {
            let sum: usize = (0..20).map(|k| (column + k) * k).sum();
            let expected = if column < 11 { 1.0 + sum as f32 } else { 1.0 };
            assert_eq!(bias, expected);
        }
    }
}
