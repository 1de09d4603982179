//! What a thread needs during a pass: the arena, the caller's slices, and the barrier with the
//! other threads.

use super::network::MapGradient;
use super::offsets::{SharedBuffers, Vectors};
use super::planned_layer::{Coefficient, PlannedLayer};
use super::ranges::MovingRanges;
use crate::simd::team::Barrier;
use crate::simd::{Isa, SharedBuffer};

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
}
