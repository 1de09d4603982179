//! What a layer reads, computed when it is loaded. `z` is a layer's output before normalisation.
//!
//! * The activation of the layer before, from that layer's `z`.
//! * The gradient of the layer's own `z`, from the gradient of its activation.

use std::ops::Range;

use super::context::PassContext;
use super::planned_layer::{Coefficient, PlannedLayer};
use super::statistics::Partial;
use crate::layer::{Rows, Target};
use crate::simd::Simd;
use crate::simd::normalization::{
    BatchNormBackward, Gate, Normalize, batch_norm_backward, gate, normalize,
};

/// The activation of a layer.
#[derive(Clone, Copy)]
pub(super) struct LayerActivation<'a> {
    pub(super) context: &'a PassContext<'a>,
    pub(super) layer: &'a PlannedLayer,
}

impl Rows for LayerActivation<'_> {
    #[inline(always)]
    unsafe fn load<S: Simd>(
        &self,
        simd: S,
        pixels: Range<usize>,
        vectors: Range<usize>,
        target: Target,
    ) {
        let Self { context, layer } = self;
        let channel = vectors.start * S::LANES;
        let row = |which| context.coefficient(layer, which).wrapping_add(channel);
        let job = Normalize {
            input: context.pointer(layer.map + pixels.start * layer.width + channel),
            pixel: layer.width,
            count: pixels.len(),
            vectors: vectors.len(),
            scale: row(Coefficient::Scale),
            shift: row(Coefficient::Shift),
            bounds: layer.spec.activation.bounds(),
            output: target.start,
            output_pixel: target.pixel,
            output_vector: target.vector,
        };
        // SAFETY: the pixels are in the map, which no thread writes now. The caller guarantees the
        // target.
        unsafe { normalize(simd, &job) }
    }
}

/// The gradient of a layer's `z`.
#[derive(Clone, Copy)]
pub(super) struct MapGradient<'a> {
    pub(super) context: &'a PassContext<'a>,
    pub(super) layer: &'a PlannedLayer,
}

impl Rows for MapGradient<'_> {
    #[inline(always)]
    unsafe fn load<S: Simd>(
        &self,
        simd: S,
        pixels: Range<usize>,
        vectors: Range<usize>,
        target: Target,
    ) {
        let Self { context, layer } = self;
        let channel = vectors.start * S::LANES;
        let first = pixels.start * layer.width + channel;
        let row = |which| context.coefficient(layer, which).wrapping_add(channel);
        let job = BatchNormBackward {
            gradient: context.gradient(layer).wrapping_add(first),
            input: context.pointer(layer.map + first),
            pixel: layer.width,
            count: pixels.len(),
            vectors: vectors.len(),
            factor: row(Coefficient::Scale),
            slope: row(Coefficient::Slope),
            offset: row(Coefficient::Offset),
            output: target.start,
            output_pixel: target.pixel,
            output_vector: target.vector,
        };
        // SAFETY: as in `LayerActivation`.
        unsafe { batch_norm_backward(simd, &job) }
    }
}

/// Takes the gradient of a layer's activation back through the activation, and adds to the thread's
/// sums. This thread has just written the gradient.
#[inline(always)]
pub(super) fn gate_gradient<S: Simd>(
    simd: S,
    context: &PassContext<'_>,
    layer: &PlannedLayer,
    pixels: Range<usize>,
    partial: &Partial,
) {
    let first = pixels.start * layer.width;
    let job = Gate {
        gradient: context.gradient(layer).wrapping_add(first),
        input: context.pointer(layer.map + first),
        pixel: layer.width,
        count: pixels.len(),
        vectors: layer.vectors,
        scale: context.coefficient(layer, Coefficient::Scale),
        shift: context.coefficient(layer, Coefficient::Shift),
        mean: context.coefficient(layer, Coefficient::Mean),
        bounds: layer.spec.activation.bounds(),
        sums: partial.first,
        products: partial.second,
    };
    // SAFETY: these pixels of the gradient and the sums are this thread's. The map is only read.
    unsafe { gate(simd, &job) }
}
