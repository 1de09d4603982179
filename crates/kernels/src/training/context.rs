//! What a thread needs during a pass: the arena, the caller's slices, and the barrier with the
//! other threads.

use super::layer_weights::LayerWeights;
use super::network::MapGradient;
use super::offsets::{SharedBuffers, Vectors};
use super::planned_layer::{Coefficient, PlannedLayer};
use super::ranges::MovingRanges;
use crate::panels::PanelLayout;
use crate::partition::part;
use crate::simd::team::Barrier;
use crate::simd::transpose::Columns;
use crate::simd::{Isa, SharedBuffer, Simd};

/// One pass over a batch.
pub(super) struct PassContext<'a> {
    pub(super) isa: Isa,
    pub(super) vectors: Vectors,
    pub(super) batch: usize,
    pub(super) threads: usize,
    pub(super) epsilon: f64,
    pub(super) parameters: &'a [f32],
    /// Ranges of the activations, with fake quantisation.
    pub(super) ranges: Option<MovingRanges<'a>>,
    /// The scale of the images' integers, if all is rounded that integers round.
    pub(super) integers: Option<f32>,
    pub(super) images: &'a [f32],
    /// Dropout factors of the features, `[batch, channels]`.
    pub(super) dropout: Option<&'a [f32]>,
    pub(super) shared: &'a SharedBuffers,
    pub(super) arena: &'a SharedBuffer,
    pub(super) barrier: &'a Barrier,
    pub(super) gradients: GradientPointer,
    /// Gradients that enter at layers' activations.
    pub(super) entering: &'a [MapGradient<'a>],
}

/// Channels whose rows are packed at a time.
const ROWS: usize = 16;

/// Values of scratch that packing needs, for weights with some number of values in each channel.
pub(super) fn packing_scratch(lanes: usize, depth: usize) -> usize {
    ROWS.max(lanes) * depth
}

/// The caller's gradients. Every thread writes its own part.
#[derive(Clone, Copy)]
pub(super) struct GradientPointer(pub(super) *mut f32);

// SAFETY: threads write different values: each layer gives a thread its own channels or rows.
unsafe impl Sync for GradientPointer {}

impl PassContext<'_> {
    /// A pointer into the arena.
    #[inline(always)]
    pub(super) fn pointer(&self, offset: usize) -> *mut f32 {
        self.arena.pointer(offset)
    }

    /// The weights of a layer as they are.
    pub(super) fn plain_weights(&self, layer: &PlannedLayer) -> &[f32] {
        let count = layer.spec.out_channels * layer.spec.depth();
        &self.parameters[layer.spec.weights..][..count]
    }

    /// A row of a layer's coefficients.
    #[inline(always)]
    pub(super) fn coefficient(&self, layer: &PlannedLayer, which: Coefficient) -> *mut f32 {
        self.pointer(layer.coefficient(which))
    }

    /// The gradient that a layer reads.
    #[inline(always)]
    pub(super) fn gradient(&self, layer: &PlannedLayer) -> *mut f32 {
        self.pointer(self.shared.gradients[layer.index % 2])
    }

    /// The gradient that a layer writes for the layer before.
    #[inline(always)]
    pub(super) fn gradient_before(&self, layer: &PlannedLayer) -> *mut f32 {
        self.pointer(self.shared.gradients[(layer.index + 1) % 2])
    }

    /// A pointer into the gradient of the parameters.
    #[inline(always)]
    pub(super) fn parameter_gradient(&self, offset: usize) -> *mut f32 {
        self.gradients.0.wrapping_add(offset)
    }

    #[inline(always)]
    pub(super) fn scratch(&self, thread: usize) -> *mut f32 {
        self.pointer(self.shared.scratch.of(thread))
    }

    #[inline(always)]
    pub(super) fn weight_sums(&self, thread: usize) -> *mut f32 {
        self.pointer(self.shared.weight_sums.of(thread))
    }

    #[inline(always)]
    pub(super) fn wait(&self) {
        self.barrier.wait();
    }

    /// Where weights are packed for the layer that is computed.
    #[inline(always)]
    pub(super) fn packed(&self) -> *mut f32 {
        self.pointer(self.shared.packed)
    }

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
