//! The operations of a program, and the code of those that are not a convolution.
//!
//! The pointers in this and the other files are sound for two reasons. All offsets in the arena
//! come from `schedule`, which gives every chunk its own rows, channels or panels of each output.
//! An operation begins when all chunks of the one before are done.

use super::context::{Context, OutputSlot};
use super::convolution::Convolution;
use super::depthwise::Depthwise;
use super::feature_map::FeatureMap;
use super::input::ImageLayout;
use super::packed::{HEAD_PANEL, PackedLayer};
use super::separable::Separable;
use crate::panels::PanelLayout;
use crate::simd::ahead::Ahead;
use crate::simd::cursor::Cursor;
use crate::simd::team::{MOST, Turn};
use crate::simd::weight::Weight;
use crate::simd::{Simd, WeightType, pool, tile};

/// One operation.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// Image -> input map.
    Load(FeatureMap),
    /// Full convolution.
    Convolution(Convolution),
    /// Depthwise convolution and the pointwise one after it, divided by rows.
    Separable(Separable),
    /// The first half of a separable operation that is divided by channels.
    SeparableDepthwise(Separable),
    /// The second half.
    SeparablePointwise(Separable),
    /// Depthwise convolution alone, into a map.
    Depthwise(Depthwise, FeatureMap),
    /// Mean of a map's first rows and columns.
    Pool {
        map: FeatureMap,
        /// Number of rows and columns.
        window: [usize; 2],
        /// Offset of the mean, which has whole vectors.
        pooled: usize,
    },
    /// Classifier on pooled features, into an output.
    Head(Head),
    /// Map -> output.
    Export(FeatureMap, OutputSlot),
    /// Pooled features -> output.
    ExportFeatures { pooled: usize, output: OutputSlot },
}

/// The classifier.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) layer: PackedLayer,
    /// Offsets of the pooled features and of the logits, both in whole vectors.
    pub(super) pooled: usize,
    pub(super) logits: usize,
    pub(super) output: OutputSlot,
}

/// Multiply-adds of a chunk, about: 20 to 50 microseconds. A thread that loses its core holds up the
/// others for a chunk, but every chunk is claimed by an exchange between cores.
const CHUNK: usize = 4 << 20;

/// Most chunks per thread.
const MOST_CHUNKS: usize = 2;

/// Fewest pixels of a chunk of rows. Each chunk reads all weights of its layer, and rounds its pixels up
/// to whole tiles. At 1.0/224 on two threads of a Xeon, four chunks of any size per thread take 4.2 ms,
/// two 3.9 ms, and two of as many pixels 3.7 ms; by AVX2 6.0, 5.7 and 5.7 ms. With one core taken,
/// they are not slower either.
const FEWEST_PIXELS: usize = 96;

impl Operation {
    /// Number of chunks that a team claims one by one. It does not change the results.
    pub(super) fn chunks(&self, threads: usize) -> usize {
        if threads == 1 {
            return 1;
        }
        let (matrix, by_rows) = match self {
            Self::Convolution(operation) => (&operation.matrix, !operation.by_panels),
            Self::Separable(operation) => (&operation.matrix, true),
            Self::SeparablePointwise(operation) => (&operation.matrix, false),
            _ => return threads.min(MOST),
        };
        let mut rounds = (matrix.multiply_adds() / (CHUNK * threads)).min(MOST_CHUNKS);
        if by_rows {
            rounds =
                rounds.min(matrix.output.height * matrix.output.width / (FEWEST_PIXELS * threads));
        }
        (rounds.max(1) * threads).min(MOST)
    }

    /// Computes a chunk of the operation.
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, simd: S, context: &Context<'_>, turn: Turn) {
        match self {
            Self::Load(map) => load(context, map, turn),
            Self::Convolution(operation) => operation.run(simd, context, turn),
            Self::Separable(operation) => operation.run(simd, context, turn),
            Self::SeparableDepthwise(operation) => operation.run_depthwise(simd, context, turn),
            Self::SeparablePointwise(operation) => operation.run_pointwise(simd, context, turn),
            Self::Depthwise(operation, output) => operation.run(simd, context, output, turn),
            Self::Pool {
                map,
                window,
                pooled,
            } => mean(simd, context, map, *window, *pooled, turn),
            Self::Head(head) => match head.layer.weight_type {
                WeightType::F32 => head.run::<S, f32>(simd, context, turn),
                #[cfg(feature = "halves")]
                WeightType::F16 => head.run::<S, half::f16>(simd, context, turn),
                #[cfg(feature = "halves")]
                WeightType::Bf16 => head.run::<S, half::bf16>(simd, context, turn),
            },
            Self::Export(map, output) => export(context, map, *output, turn),
            Self::ExportFeatures { pooled, output } => {
                export_features(context, *pooled, *output, turn);
            }
        }
    }
}

#[inline(always)]
fn load(context: &Context<'_>, map: &FeatureMap, turn: Turn) {
    for y in turn.share(map.height) {
        // SAFETY: the row is in the arena, is initialised, and is this chunk's.
        let row = unsafe {
            std::slice::from_raw_parts_mut(context.pointer::<f32>(map.row_at(y)), map.row())
        };
        let (left, rest) = row.split_at_mut(map.left * map.pixel);
        let (pixels, right) = rest.split_at_mut(map.width * map.pixel);
        match context.frames {
            Some(frames) => {
                left.copy_from_slice(&frames.padding()[..left.len()]);
                right.copy_from_slice(&frames.padding()[..right.len()]);
            }
            None => {
                left.fill(0.0);
                right.fill(0.0);
            }
        }
        context.images.write_row(map, context.image, y, pixels);
    }
}

#[inline(always)]
fn mean<S: Simd>(
    simd: S,
    context: &Context<'_>,
    map: &FeatureMap,
    window: [usize; 2],
    pooled: usize,
    turn: Turn,
) {
    let vectors = turn.share(map.channels.div_ceil(S::LANES));
    let channel = vectors.start * S::LANES;
    let mean = pool::Mean {
        input: context.pointer::<f32>(map.at(0, 0)).wrapping_add(channel),
        size: window,
        strides: [map.row(), map.pixel],
        channels: vectors.len() * S::LANES,
        output: context.pointer::<f32>(pooled).wrapping_add(channel),
    };
    // SAFETY: the window is in the map; these vectors of the mean are this chunk's.
    unsafe { pool::mean(simd, &mean) }
}

impl Head {
    #[inline(always)]
    fn run<S: Simd, W: Weight>(&self, simd: S, context: &Context<'_>, turn: Turn) {
        let layer = &self.layer;
        let layout = PanelLayout::new(layer.out_channels, layer.in_channels, S::LANES, HEAD_PANEL);
        let features: [*const f32; 1] = [context.pointer(self.pooled)];
        let output = context.output(self.output);
        for panel in turn.share(layout.count()) {
            let part = layout.panel(panel);
            let logits = context.pointer::<f32>(self.logits).wrapping_add(part.first);
            let weights: *const W = context.weights(layer.weights).cast();
            let weights = weights.wrapping_add(part.offset());
            let block = tile::Block {
                segments: &features,
                length: part.depth,
                stride: 0,
                pixels: 1,
                panels: 1,
                vectors: part.width / S::LANES,
                weights,
                bias: context.weights(layer.bias + part.first),
                bounds: layer.activation.bounds(),
                output: Cursor::of_row(logits, 0),
                ahead: [Ahead::stay(weights.wrapping_add(AHEAD)); 2],
            };
            // SAFETY: features, packed weights and the room for logits have these sizes. The
            // panel's logits are this chunk's.
            unsafe { tile::run_single(simd, &block) }
            // SAFETY: this chunk has just written the logits. The output has room for all classes,
            // and these are this chunk's.
            unsafe {
                output
                    .add(part.first)
                    .copy_from_nonoverlapping(logits, part.columns);
            }
        }
    }
}

/// How far ahead the classifier's weights are prefetched, in weights. They are read only once and
/// come from far away.
const AHEAD: usize = 4096;

fn export(context: &Context<'_>, map: &FeatureMap, output: OutputSlot, turn: Turn) {
    let output = context.output(output);
    for y in turn.share(map.height) {
        for x in 0..map.width {
            let pixel = context.pointer::<f32>(map.at(y, x));
            let number = y * map.width + x;
            // SAFETY: the pixel is in the map. The output has room for all values, and those of this
            // row are this chunk's.
            unsafe {
                match context.layout {
                    ImageLayout::Nhwc => output
                        .add(number * map.channels)
                        .copy_from_nonoverlapping(pixel, map.channels),
                    ImageLayout::Nchw => {
                        for c in 0..map.channels {
                            let index = c * map.height * map.width + number;
                            output.add(index).write(pixel.add(c).read());
                        }
                    }
                }
            }
        }
    }
}

fn export_features(context: &Context<'_>, pooled: usize, output: OutputSlot, turn: Turn) {
    let share = turn.share(output.len);
    let features = context.pointer::<f32>(pooled);
    // SAFETY: arena and output hold that many features; the share is this chunk's.
    unsafe {
        context
            .output(output)
            .add(share.start)
            .copy_from_nonoverlapping(features.add(share.start), share.len());
    }
}
