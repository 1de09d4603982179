//! What a step reads: the activation of the layer before, made again from its `z`, and the gradient
//! of its own `z`, made from that of its activation.

use std::ops::Range;

use super::run::Run;
use super::statistics::Partial;
use super::step::{Coefficient, Step};
use crate::layer::{Rows, Target};
use crate::simd::Simd;
use crate::simd::normalization::{
    BatchNormBackward, Gate, Normalize, batch_norm_backward, gate, normalize,
};

/// The activation of a layer.
#[derive(Clone, Copy)]
pub(super) struct Activation<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) step: &'a Step,
}

impl Rows for Activation<'_> {
    #[inline(always)]
    unsafe fn load<S: Simd>(
        &self,
        simd: S,
        pixels: Range<usize>,
        vectors: Range<usize>,
        target: Target,
    ) {
        let Self { run, step } = self;
        let channel = vectors.start * S::LANES;
        let row = |which| run.coefficient(step, which).wrapping_add(channel);
        let job = Normalize {
            input: run.pointer(step.map + pixels.start * step.width + channel),
            pixel: step.width,
            count: pixels.len(),
            vectors: vectors.len(),
            scale: row(Coefficient::Scale),
            shift: row(Coefficient::Shift),
            bounds: step.layer.activation.bounds(),
            output: target.start,
            output_pixel: target.pixel,
            output_vector: target.vector,
        };
        // SAFETY: the pixels lie in the map, which no thread writes now; the caller vouches for the
        // target.
        unsafe { normalize(simd, &job) }
    }
}

/// The gradient with respect to a layer's `z`.
#[derive(Clone, Copy)]
pub(super) struct MapGradient<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) step: &'a Step,
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
        let Self { run, step } = self;
        let channel = vectors.start * S::LANES;
        let first = pixels.start * step.width + channel;
        let row = |which| run.coefficient(step, which).wrapping_add(channel);
        let job = BatchNormBackward {
            gradient: run.gradient(step).wrapping_add(first),
            input: run.pointer(step.map + first),
            pixel: step.width,
            count: pixels.len(),
            vectors: vectors.len(),
            factor: row(Coefficient::Scale),
            slope: row(Coefficient::Slope),
            offset: row(Coefficient::Offset),
            output: target.start,
            output_pixel: target.pixel,
            output_vector: target.vector,
        };
        // SAFETY: as in `Activation`.
        unsafe { batch_norm_backward(simd, &job) }
    }
}

/// Takes the gradient of a layer's activation, just written, through the activation, and adds to
/// the thread's sums.
#[inline(always)]
pub(super) fn gate_gradient<S: Simd>(
    simd: S,
    run: &Run<'_>,
    step: &Step,
    pixels: Range<usize>,
    partial: &Partial,
) {
    let first = pixels.start * step.width;
    let job = Gate {
        gradient: run.gradient(step).wrapping_add(first),
        input: run.pointer(step.map + first),
        pixel: step.width,
        count: pixels.len(),
        vectors: step.vectors,
        scale: run.coefficient(step, Coefficient::Scale),
        shift: run.coefficient(step, Coefficient::Shift),
        mean: run.coefficient(step, Coefficient::Mean),
        bounds: step.layer.activation.bounds(),
        sums: partial.first,
        products: partial.second,
    };
    // SAFETY: the pixels of the gradient are this thread's, the map is only read, the sums are this
    // thread's.
    unsafe { gate(simd, &job) }
}
