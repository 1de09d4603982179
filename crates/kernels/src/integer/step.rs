//! The steps of a program, and the code of those that are not a convolution.
//!
//! The pointers in this and the other files are sound for two reasons. All offsets in the arena
//! come from `schedule`, and every chunk has its own rows, pixels or channels of a step's
//! output. A step begins when all chunks of the one before are done.

use super::average::{mean, pool};
use super::context::Context;
use super::convolution::{Convolution, Run, Source};
use super::depthwise::{Depthwise, IntoMap};
use super::map::Map;
use super::packed::{PackedLayer, PackedOperation};
use super::rounding::MeanFactor;
use crate::geometry::ConvSize;
use crate::simd::integer::dispatch;
use crate::simd::team::{MOST, Turn};

/// One step.
#[derive(Debug)]
pub(super) enum Step {
    /// Image -> first map.
    Load(Map),
    Convolution(Convolution),
    Depthwise(Depthwise, Map),
    /// Each channel several times, for depthwise filters that share one.
    Repeat {
        input: Map,
        times: usize,
        output: Map,
    },
    /// Each byte by a table.
    Translate {
        input: Map,
        table: Box<[u8; 256]>,
        output: Map,
    },
    /// The same values in the same order, with another border.
    Copy {
        input: Map,
        output: Map,
    },
    Pool {
        input: Map,
        size: ConvSize,
        output: Map,
    },
    Mean {
        input: Map,
        factor: MeanFactor,
        output: Map,
    },
    Softmax {
        layer: usize,
        input: Map,
        output: Map,
    },
    /// All channels of a layer, of which some are constants.
    Restore {
        layer: usize,
        input: Map,
        output: Map,
    },
    /// Map -> output of this index.
    Export(Map, usize),
}

impl Step {
    /// Calls `change` with every map.
    pub(super) fn maps(&mut self, mut change: impl FnMut(&mut Map)) {
        match self {
            Self::Load(map) | Self::Export(map, _) => change(map),
            Self::Convolution(convolution) => {
                change(&mut convolution.output);
                match &mut convolution.source {
                    Source::Windows { input, .. } => change(input),
                    Source::Depthwise(depthwise) => change(&mut depthwise.input),
                }
            }
            Self::Depthwise(depthwise, output) => {
                change(&mut depthwise.input);
                change(output);
            }
            Self::Repeat { input, output, .. }
            | Self::Translate { input, output, .. }
            | Self::Copy { input, output }
            | Self::Pool { input, output, .. }
            | Self::Mean { input, output, .. }
            | Self::Softmax { input, output, .. }
            | Self::Restore { input, output, .. } => {
                change(input);
                change(output);
            }
        }
    }

    /// Number of chunks that a team claims one by one. It does not change the results.
    pub(super) fn chunks(&self, layers: &[PackedLayer], threads: usize) -> usize {
        let rounds = match self {
            Self::Convolution(convolution) => convolution.rounds(layers, threads),
            _ => 1,
        };
        (rounds * threads).min(MOST)
    }

    /// Computes a chunk.
    pub(super) fn run(&self, context: &Context<'_>, turn: Turn) {
        match self {
            Self::Load(map) => load(context, map, turn),
            Self::Convolution(convolution) => {
                let run = Run {
                    convolution,
                    context,
                    turn,
                };
                dispatch(convolution.products, run);
            }
            Self::Depthwise(depthwise, output) => {
                let run = IntoMap {
                    depthwise,
                    output,
                    context,
                    turn,
                };
                dispatch(depthwise.products, run);
            }
            Self::Repeat {
                input,
                times,
                output,
            } => rows(context, input, output, turn, |from, to| {
                for (to, from) in to.chunks_exact_mut(*times).zip(from) {
                    to.fill(*from);
                }
            }),
            Self::Translate {
                input,
                table,
                output,
            } => rows(context, input, output, turn, |from, to| {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = table[usize::from(*from)];
                }
            }),
            Self::Copy { input, output } => copy(context, input, output, turn),
            Self::Pool {
                input,
                size,
                output,
            } => pool(context, input, size, output, turn),
            Self::Mean {
                input,
                factor,
                output,
            } => mean(context, input, *factor, output, turn),
            Self::Softmax {
                layer,
                input,
                output,
            } => softmax(context, *layer, input, output, turn),
            Self::Restore {
                layer,
                input,
                output,
            } => {
                let Some(computed) = &context.layers[*layer].computed else {
                    return;
                };
                rows(context, input, output, turn, |from, to| {
                    let pixels = to.chunks_exact_mut(output.channels);
                    for (to, from) in pixels.zip(from.chunks_exact(input.channels)) {
                        computed.restore(from, to);
                    }
                });
            }
            Self::Export(map, output) => export(context, map, *output, turn),
        }
    }
}

fn load(context: &Context<'_>, map: &Map, turn: Turn) {
    context.write_border(map, turn);
    let row = map.width * map.channels;
    for y in turn.share(map.height) {
        // SAFETY: the row is in the arena, and it is this chunk's.
        let to = unsafe { context.bytes_mut(map.at(y, 0), row) };
        let start = (context.image * map.height + y) * row;
        context.images.write(start, to, context.quantizer);
    }
}

/// Calls `work` with each row of the input and the output.
fn rows(
    context: &Context<'_>,
    input: &Map,
    output: &Map,
    turn: Turn,
    work: impl Fn(&[u8], &mut [u8]),
) {
    context.write_border(output, turn);
    for y in turn.share(output.height) {
        // SAFETY: the rows are in the arena, and the output's is this chunk's.
        let (from, to) = unsafe {
            (
                context.bytes(input.at(y, 0), input.width * input.channels),
                context.bytes_mut(output.at(y, 0), output.width * output.channels),
            )
        };
        work(from, to);
    }
}

/// All values are of one pixel, or the maps have the same shape: the first chunk is all of it.
fn copy(context: &Context<'_>, input: &Map, output: &Map, turn: Turn) {
    context.write_border(output, turn);
    if turn.chunk > 0 {
        return;
    }
    let mut to = output.at(0, 0);
    for y in 0..input.height {
        let len = input.width * input.channels;
        // SAFETY: input and output have as many values, and the output is this chunk's.
        unsafe {
            let from = context.bytes(input.at(y, 0), len);
            context.bytes_mut(to, len).copy_from_slice(from);
        }
        to += len;
    }
}

fn softmax(context: &Context<'_>, layer: usize, input: &Map, output: &Map, turn: Turn) {
    context.write_border(output, turn);
    let PackedOperation::Softmax(table) = &context.layers[layer].operation else {
        return;
    };
    for pixel in turn.share(output.height * output.width) {
        let (y, x) = (pixel / output.width, pixel % output.width);
        // SAFETY: the pixels are in the maps, and the output's is this chunk's.
        unsafe {
            let logits = context.bytes(input.at(y, x), input.channels);
            let to = context.bytes_mut(output.at(y, x), output.channels);
            table.run(logits, output.scale, to);
        }
    }
}

fn export(context: &Context<'_>, map: &Map, output: usize, turn: Turn) {
    let row = map.width * map.channels;
    for y in turn.share(map.height) {
        let start = (context.image * map.height + y) * row;
        // SAFETY: the row is in the map; the output has room for all rows, and this one is the
        // chunk's.
        unsafe {
            let bytes = context.bytes(map.at(y, 0), row);
            context.outputs[output].write(start, bytes, map.scale);
        }
    }
}
