//! The steps of a program, and those that are no convolution.
//!
//! All places in the arena come from `build`, which gives every thread its own rows, channels or
//! panels of each output; a barrier stands between a step that writes a map and the one that reads
//! it. That is why the pointers here and in the other files are sound.

use half::{bf16, f16};

use super::convolution::Convolution;
use super::depthwise::Depthwise;
use super::input::ImageLayout;
use super::map::Map;
use super::packed::{HEAD_PANEL, PackedLayer};
use super::run::{Run, share};
use super::separable::Separable;
use crate::panels::PanelLayout;
use crate::simd::weight::Weight;
use crate::simd::{Simd, WeightType, pool, tile};

/// One step.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Image -> input map.
    Load,
    /// Full convolution.
    Convolution(Convolution),
    /// Depthwise and pointwise convolution.
    Separable(Separable),
    /// Depthwise convolution alone, into a map.
    Depthwise(Depthwise, Map),
    /// Mean of the last map's first rows and columns.
    Pool {
        /// How many.
        window: [usize; 2],
    },
    /// Classifier on pooled features, into the output.
    Head(PackedLayer),
    /// Last map -> output.
    Export,
    /// Pooled features -> output.
    ExportFeatures,
}

impl Step {
    /// The thread's part of the step.
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, simd: S, run: &Run<'_>, thread: usize) {
        match self {
            Self::Load => load(run, thread),
            Self::Convolution(step) => step.run(simd, run, thread),
            Self::Separable(step) => step.run(simd, run, thread),
            Self::Depthwise(step, output) => step.run(simd, run, output, thread),
            Self::Pool { window } => mean(simd, run, *window, thread),
            Self::Head(layer) => match layer.weight_type {
                WeightType::F32 => head::<S, f32>(simd, run, layer, thread),
                WeightType::F16 => head::<S, f16>(simd, run, layer, thread),
                WeightType::Bf16 => head::<S, bf16>(simd, run, layer, thread),
            },
            Self::Export => export(run, thread),
            Self::ExportFeatures => export_features(run, thread),
        }
    }
}

#[inline(always)]
fn load(run: &Run<'_>, thread: usize) {
    let map = &run.plan.input;
    for y in share(map.height, thread, run.threads) {
        // SAFETY: the row lies in the arena, is initialised, and belongs to this thread.
        let row = unsafe {
            std::slice::from_raw_parts_mut(run.pointer(map.offset + y * map.row()), map.row())
        };
        let (left, rest) = row.split_at_mut(map.left * map.pixel);
        let (pixels, right) = rest.split_at_mut(map.width * map.pixel);
        match run.frames {
            Some(frames) => {
                left.copy_from_slice(&frames.padding()[..left.len()]);
                right.copy_from_slice(&frames.padding()[..right.len()]);
            }
            None => {
                left.fill(0.0);
                right.fill(0.0);
            }
        }
        run.images.write_row(map, run.image, y, pixels);
    }
}

#[inline(always)]
fn mean<S: Simd>(simd: S, run: &Run<'_>, window: [usize; 2], thread: usize) {
    let map = &run.plan.last;
    let vectors = share(map.channels.div_ceil(S::LANES), thread, run.threads);
    let channel = vectors.start * S::LANES;
    let mean = pool::Mean {
        input: run.pointer(map.at(0, 0) + channel),
        size: window,
        steps: [map.row(), map.pixel],
        vectors: vectors.len(),
        output: run.pointer(run.plan.pooled + channel),
    };
    // SAFETY: the window lies in the last map; the vectors of the mean are this thread's.
    unsafe { pool::mean(simd, &mean) }
}

#[inline(always)]
fn head<S: Simd, W: Weight>(simd: S, run: &Run<'_>, layer: &PackedLayer, thread: usize) {
    let layout = PanelLayout::new(layer.out_channels, layer.in_channels, S::LANES, HEAD_PANEL);
    let features: [*const f32; 1] = [run.pointer(run.plan.pooled)];
    for panel in share(layout.count(), thread, run.threads) {
        let part = layout.panel(panel);
        let place = run.plan.logits + part.first;
        let weights: *const W = run.weights(layer.weights).cast();
        let weights = weights.wrapping_add(part.offset());
        let panel = tile::Panel {
            segments: &features,
            length: part.depth,
            step: 0,
            weights,
            bias: run.weights(layer.bias + part.first),
            bounds: layer.activation.bounds(),
            output: run.pointer(place),
            prefetch: (weights.wrapping_add(AHEAD), part.width),
        };
        // SAFETY: features, packed weights and the room for logits have these sizes, and the
        // panel's logits are this thread's.
        unsafe { tile::run_single(simd, &panel, part.width / S::LANES) }
        for class in part.first..part.first + part.columns {
            // SAFETY: the logit was just written by this thread; the output has one place a class.
            unsafe {
                run.output(class)
                    .write(run.pointer(run.plan.logits + class).read())
            }
        }
    }
}

/// How far ahead the classifier's weights are asked for: they come once and from far away.
const AHEAD: usize = 4096;

fn export(run: &Run<'_>, thread: usize) {
    let map = &run.plan.last;
    for y in share(map.height, thread, run.threads) {
        for x in 0..map.width {
            let pixel = run.pointer(map.at(y, x));
            for c in 0..map.channels {
                let place = match run.layout {
                    ImageLayout::Nhwc => (y * map.width + x) * map.channels + c,
                    ImageLayout::Nchw => (c * map.height + y) * map.width + x,
                };
                // SAFETY: the pixel lies in the last map; the output has one place a value, and
                // those of this row are this thread's.
                unsafe { run.output(place).write(pixel.add(c).read()) }
            }
        }
    }
}

fn export_features(run: &Run<'_>, thread: usize) {
    for c in share(run.plan.last.channels, thread, run.threads) {
        // SAFETY: the arena holds that many features, the output has one place for each.
        unsafe { run.output(c).write(run.pointer(run.plan.pooled + c).read()) }
    }
}
