//! What a layer reads, computed when it is loaded. `z` is a layer's output before normalisation. With
//! rounded weights, `y` is the output that counts.
//!
//! * The activation of the layer before, from that layer's `y`.
//! * The gradient of the layer's own `z`, from the gradient of its activation. With rounded weights,
//!   the gradients of `y` and of `z`.

use std::ops::Range;

use super::activation_range;
use super::context::PassContext;
use super::planned_layer::{Coefficient, PlannedLayer};
use super::statistics::Partial;
use crate::layer::matrix::UNBOUNDED;
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
        let (mut bounds, mut rounding) = (layer.spec.activation.bounds(), None);
        if let Some(grid) = activation_range::grid(context, layer) {
            let (low, high) = grid.range();
            bounds = (bounds.0.max(low), bounds.1.min(high));
            rounding = Some(*grid.steps());
        }
        let job = Normalize {
            input: context.pointer(layer.output(pixels.start) + channel),
            pixel: layer.pixel,
            count: pixels.len(),
            vectors: vectors.len(),
            scale: row(Coefficient::Scale),
            shift: row(Coefficient::Shift),
            bounds,
            rounding,
            output: target.start,
            output_pixel: target.pixel,
            output_vector: target.vector,
        };
        // SAFETY: the pixels are in the map, which no thread writes now. The caller guarantees the
        // target.
        unsafe { normalize(simd, &job) }
    }
}

/// Which gradient of a layer with rounded weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Branch {
    Y,
    Z,
    /// The one that weights get through both ([`Coefficient::Factor`]).
    Both,
}

/// The gradient of a layer's `z`; with rounded weights, that of a branch.
#[derive(Clone, Copy)]
pub(super) struct MapGradient<'a> {
    pub(super) context: &'a PassContext<'a>,
    pub(super) layer: &'a PlannedLayer,
    pub(super) branch: Branch,
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
        let Self {
            context,
            layer,
            branch,
        } = self;
        let channel = vectors.start * S::LANES;
        let first = pixels.start * layer.width + channel;
        let gradient = context.gradient(layer).wrapping_add(first);
        let row = |which| context.coefficient(layer, which).wrapping_add(channel);
        let is_rounded = layer.rounded.is_some();
        if is_rounded && *branch != Branch::Both {
            let zeros = context.pointer(context.shared.zeros);
            let (input, pixel, scale, shift) = match branch {
                Branch::Y => (gradient, layer.width, row(Coefficient::Scale), zeros),
                _ => (
                    context.pointer(layer.plain_output(pixels.start) + channel),
                    layer.pixel,
                    row(Coefficient::Slope),
                    row(Coefficient::Offset),
                ),
            };
            let job = Normalize {
                input,
                pixel,
                count: pixels.len(),
                vectors: vectors.len(),
                scale,
                shift,
                bounds: UNBOUNDED,
                rounding: None,
                output: target.start,
                output_pixel: target.pixel,
                output_vector: target.vector,
            };
            // SAFETY: as in `LayerActivation`.
            return unsafe { normalize(simd, &job) };
        }
        let factor = match is_rounded {
            true => Coefficient::Factor,
            false => Coefficient::Scale,
        };
        let job = BatchNormBackward {
            gradient,
            gradient_pixel: layer.width,
            input: context.pointer(layer.plain_output(pixels.start) + channel),
            input_pixel: layer.pixel,
            count: pixels.len(),
            vectors: vectors.len(),
            factor: row(factor),
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

/// Adds the gradients that enter at a layer from outside, for pixels that this thread has just written.
fn add_entering(context: &PassContext<'_>, layer: &PlannedLayer, pixels: &Range<usize>) {
    let channels = layer.spec.out_channels;
    for map in context
        .entering
        .iter()
        .filter(|map| map.layer == layer.index)
    {
        let rows =
            map.values[pixels.start * channels..pixels.end * channels].chunks_exact(channels);
        for (pixel, row) in pixels.clone().zip(rows) {
            let target = context.gradient(layer).wrapping_add(pixel * layer.width);
            for (channel, value) in row.iter().enumerate() {
                // SAFETY: these pixels of the gradient are this thread's.
                unsafe { *target.add(channel) += value }
            }
        }
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
    add_entering(context, layer, &pixels);
    let mut bounds = layer.spec.activation.bounds();
    if let Some(grid) = activation_range::grid(context, layer) {
        let (low, high) = grid.gate();
        bounds = (bounds.0.max(low), bounds.1.min(high));
    }
    let job = Gate {
        gradient: context.gradient(layer).wrapping_add(first),
        gradient_pixel: layer.width,
        input: context.pointer(layer.output(pixels.start)),
        input_pixel: layer.pixel,
        count: pixels.len(),
        vectors: layer.vectors,
        scale: context.coefficient(layer, Coefficient::Scale),
        shift: context.coefficient(layer, Coefficient::Shift),
        mean: context.coefficient(layer, Coefficient::Centre),
        bounds,
        sums: partial.first,
        products: partial.second,
    };
    // SAFETY: these pixels of the gradient and the sums are this thread's. The map is only read.
    unsafe { gate(simd, &job) }
}
