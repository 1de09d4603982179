//! What a thread needs during a pass: the arena, the caller's slices, and the barrier with the
//! other threads.

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

    /// The weights of a layer's `y`, in the order of the parameters.
    pub(super) fn weights(&self, layer: &PlannedLayer) -> &[f32] {
        match &layer.rounded {
            Some(planned) => planned.values(self.arena),
            None => self.plain_weights(layer),
        }
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
            unsafe { self.packed().add(panel.offset()).write_bytes(0, panel.len()) }
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

    /// The same for columns of `depth` contiguous values, which become the panels' columns from
    /// `first` on. Others stay as they are.
    #[inline(always)]
    pub(super) fn pack_columns<S: Simd>(
        &self,
        simd: S,
        layout: &PanelLayout,
        first: usize,
        (columns, depth): (&[f32], usize),
        thread: usize,
    ) {
        let end = first + columns.len() / depth;
        let columns = Columns::new(columns, depth);
        for index in part(layout.count(), thread, self.threads) {
            let panel = layout.panel(index);
            let own = first.max(panel.first)..end.min(panel.first + panel.columns);
            if own.is_empty() {
                continue;
            }
            let target = panel.offset() + own.start - panel.first;
            let target = self.packed().wrapping_add(target);
            let own = columns.part(own.start - first..own.end - first);
            // SAFETY: the panel is this thread's, and it has these columns.
            unsafe { own.transpose(simd, 0..depth, |_| 1.0, target, panel.width) }
        }
    }

    /// The same for rows of `columns` values, which become the panels' rows from `first` on.
    pub(super) fn pack_rows(
        &self,
        layout: &PanelLayout,
        first: usize,
        rows: &[f32],
        columns: usize,
        thread: usize,
    ) {
        for index in part(layout.count(), thread, self.threads) {
            let panel = layout.panel(index);
            for (k, row) in rows.chunks_exact(columns).enumerate() {
                let source = &row[panel.first..][..panel.columns];
                let target = panel.offset() + panel.row(first + k).start;
                let target = self.packed().wrapping_add(target);
                // SAFETY: the panel is this thread's, and it has these rows.
                unsafe { target.copy_from_nonoverlapping(source.as_ptr(), panel.columns) }
            }
        }
    }
}
