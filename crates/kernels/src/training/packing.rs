//! Packs the weights of a layer just before it needs them: the thread's panels of them.
//!
//! All layers use one buffer, which so stays in cache. Values that are not packed, such as the padding of
//! the last vector, are those of another layer, unless they are cleared.

use super::context::PassContext;
use super::layer_weights::LayerWeights;
use crate::panels::PanelLayout;
use crate::partition::part;
use crate::simd::Simd;
use crate::simd::transpose::Columns;

/// Channels whose rows are packed at a time.
const ROWS: usize = 16;

/// Values of scratch that packing needs, for weights with some number of values in each channel.
pub(super) fn scratch(lanes: usize, depth: usize) -> usize {
    ROWS.max(lanes) * depth
}

impl PassContext<'_> {
    /// Writes 0 to the thread's panels of packed weights, where fewer values follow than they have.
    pub(super) fn clear_packed(&self, layout: &PanelLayout, values: usize, thread: usize) {
        if values == layout.len() {
            return;
        }
        for index in part(layout.count(), thread, self.threads) {
            let panel = layout.panel(index);
            // SAFETY: the panel is this thread's, and there is room for the whole matrix.
            unsafe {
                self.packed()
                    .add(panel.offset())
                    .write_bytes(0, panel.len())
            }
        }
    }

    /// Packs the thread's panels of a matrix whose values are not in the order of its columns.
    pub(super) fn pack(
        &self,
        layout: &PanelLayout,
        weight: impl Fn(usize, usize) -> f32,
        thread: usize,
    ) {
        self.clear_packed(layout, layout.values(), thread);
        for index in part(layout.count(), thread, self.threads) {
            let panel = layout.panel(index);
            let target = self.packed().wrapping_add(panel.offset());
            // SAFETY: the panel is this thread's, and there is room for the whole matrix.
            panel.for_each(|column, k, index| unsafe {
                target.add(index).write(weight(column, k));
            });
        }
    }

    /// The same with a column for each channel, which become the panels' columns from `first` on.
    /// Others stay as they are.
    #[inline(always)]
    pub(super) fn pack_columns<S: Simd>(
        &self,
        simd: S,
        layout: &PanelLayout,
        first: usize,
        weights: &LayerWeights<'_>,
        thread: usize,
    ) {
        let (end, depth) = (first + weights.channels(), weights.depth);
        // SAFETY: scratch is this thread's, and has room for a vector of columns.
        let buffer = unsafe { self.buffer(S::LANES * depth, thread) };
        for index in part(layout.count(), thread, self.threads) {
            let panel = layout.panel(index);
            let own = first.max(panel.first)..end.min(panel.first + panel.columns);
            for start in own.clone().step_by(S::LANES) {
                let columns = start..own.end.min(start + S::LANES);
                let target = panel.offset() + start - panel.first;
                let target = self.packed().wrapping_add(target);
                let channels = columns.start - first..columns.end - first;
                let rows = weights.rows(simd, channels, 0..depth, buffer);
                let columns = Columns::new(rows.values, depth);
                // SAFETY: the panel is this thread's, and it has these columns.
                unsafe { columns.transpose(simd, 0..depth, |_| 1.0, target, panel.width) }
            }
        }
    }

    /// The same with a row for each channel, which become the panels' rows from `first` on.
    #[inline(always)]
    pub(super) fn pack_rows<S: Simd>(
        &self,
        simd: S,
        layout: &PanelLayout,
        first: usize,
        weights: &LayerWeights<'_>,
        thread: usize,
    ) {
        // SAFETY: scratch is this thread's, and has room for these rows.
        let buffer = unsafe { self.buffer(ROWS * weights.depth, thread) };
        let panels = part(layout.count(), thread, self.threads);
        let panels = panels.map(|index| layout.panel(index));
        let columns = panels
            .clone()
            .map(|panel| panel.first..panel.first + panel.columns);
        let Some(columns) = columns.reduce(|all, next| all.start..next.end) else {
            return;
        };
        for start in (0..weights.channels()).step_by(ROWS) {
            let channels = start..weights.channels().min(start + ROWS);
            let rows = weights.rows(simd, channels.clone(), columns.clone(), buffer);
            for panel in panels.clone() {
                for (row, channel) in channels.clone().enumerate() {
                    let from = row * rows.stride + panel.first - columns.start;
                    let from = &rows.values[from..][..panel.columns];
                    let to = panel.offset() + panel.row(first + channel).start;
                    let to = self.packed().wrapping_add(to);
                    // SAFETY: the panel is this thread's, and it has these rows.
                    unsafe { to.copy_from_nonoverlapping(from.as_ptr(), from.len()) }
                }
            }
        }
    }

    /// A part of the thread's scratch.
    ///
    /// # Safety
    /// Scratch must have that many values, and nothing else may use them meanwhile.
    #[expect(clippy::mut_from_ref, reason = "they are behind a pointer")]
    unsafe fn buffer(&self, values: usize, thread: usize) -> &mut [f32] {
        // SAFETY: the caller's guarantee.
        unsafe { std::slice::from_raw_parts_mut(self.scratch(thread), values) }
    }
}
