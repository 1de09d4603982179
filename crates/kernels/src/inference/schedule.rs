//! Computes the operations from layers and an input size, and the arena offsets of their maps.

use super::arena::{Arena, Rooms};
use super::config::{Output, ProgramConfig};
use super::context::{Offsets, OutputSlot};
use super::convolution::Convolution;
use super::feature_map::{FeatureMap, columns_of_zeros};
use super::operation::{Head, Operation};
use super::packed::{PackedWeights, Scheme};
use super::separable::Split;
use super::sized::{PIXEL_GAP, Sized, VALUE, pixel_stride, separable, sized_layers};
use super::strassen;
use crate::error::KernelError;
use crate::geometry::ConvGeometry;
use crate::network::ConvKind;
use crate::simd;

/// Everything that running a program needs to know.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) operations: Vec<Operation>,
    /// Number of chunks of each operation.
    pub(super) chunks: Vec<usize>,
    pub(super) offsets: Offsets,
    /// The input image's map.
    pub(super) input: FeatureMap,
    /// Rows, columns and channels of each output.
    pub(super) outputs: Vec<[usize; 3]>,
    /// Bytes of the arena.
    pub(super) arena: usize,
}

impl Schedule {
    /// The schedule by which `threads` threads compute one image.
    ///
    /// First the image is loaded. Each group of layers then computes a map, which is exported right
    /// after if it is an output. The last map is averaged if an output needs that.
    pub(super) fn new(
        weights: &PackedWeights,
        config: &ProgramConfig,
        threads: usize,
    ) -> Result<Self, KernelError> {
        let lanes = weights.isa().lanes();
        let layers = sized_layers(weights, config)?;
        let (Some(first), Some(last)) = (layers.first(), layers.last()) else {
            return Err(KernelError::Zero { what: "layers" });
        };
        let outputs = output_shapes(&layers, config, weights)?;
        // A branch has the size of the map that it reads.
        let branch = |index: usize| {
            let &(reads, layer) = weights.branches.get(index)?;
            let read = &layers.get(reads)?.size;
            let (rows, columns) = (read.rows.output, read.columns.output);
            let size = ConvGeometry::POINTWISE.resolve(1, rows, columns).ok()?;
            Some(Sized { layer, size })
        };
        let groups = groups(&layers, weights, &config.outputs);
        let pool_step = groups.last().map_or(1, Group::after);
        let is_pooled = |output: &Output| matches!(output, Output::Logits | Output::Features);
        let is_pooled = config.outputs.iter().any(is_pooled);

        // What is needed by some operations only.
        let mut arena = Arena::default();
        let mut input = input_map(config, first);
        // The last pixel is read in whole vectors.
        let input_room = arena.request(input.bytes() + lanes * VALUE, 0..=1);
        let mut maps = Vec::new();
        let mut branch_maps = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            for (operation, &output) in group.branch_operations().zip(&group.branches) {
                if let Output::Branch(number) = config.outputs[output]
                    && let Some(sized) = branch(number)
                {
                    let map = sized.output(None, lanes);
                    let room = arena.request(map.bytes(), operation..=operation + 1);
                    branch_maps.push((output, sized, map, room));
                }
            }
            let map = layers[group.last].output(layers.get(group.last + 1), lanes);
            let last_reader = match groups.get(index + 1) {
                Some(next) => next.operation,
                None if is_pooled => pool_step,
                None => pool_step - 1,
            };
            maps.push((
                map,
                arena.request(map.bytes(), group.operation..=last_reader),
            ));
        }
        let room_of = |channels: usize| channels.next_multiple_of(lanes) * VALUE;
        let all_heads = pool_step..=pool_step + config.outputs.len();
        let pooled = arena.request(room_of(last.layer.out_channels), all_heads.clone());
        let classes = weights.head.map_or(0, |head| head.out_channels);
        let logits = arena.request(room_of(classes), all_heads);
        let mut rooms = arena.assign();
        input.start = rooms.offset(input_room);
        let maps = maps.into_iter().map(|(map, room)| FeatureMap {
            start: rooms.offset(room),
            ..map
        });
        let maps: Vec<_> = maps.collect();
        let (pooled, logits) = (rooms.offset(pooled), rooms.offset(logits));

        let slot = |index: usize| OutputSlot {
            index,
            len: outputs[index].iter().product(),
        };
        let mut operations = vec![Operation::Load(input)];
        let mut current = input;
        for (group, &map) in groups.iter().zip(&maps) {
            match group.compute(&layers, weights, current, map, threads)? {
                Operation::Separable(separable) if separable.split == Split::Channels => {
                    operations.push(Operation::SeparableDepthwise(separable));
                    operations.push(Operation::SeparablePointwise(separable));
                }
                operation => operations.push(operation),
            }
            let exports = group.outputs.iter();
            operations.extend(exports.map(|&index| Operation::Export(map, slot(index))));
            for (output, sized, branch, room) in &branch_maps {
                if group.branches.contains(output) {
                    let branch = FeatureMap {
                        start: rooms.offset(*room),
                        ..*branch
                    };
                    let matrix = sized.matrix(map.pixel, branch, weights);
                    let input = map.without_zeros();
                    let convolution = Convolution::new(input, sized.size, matrix, false);
                    operations.push(Operation::Convolution(convolution));
                    operations.push(Operation::Export(branch, slot(*output)));
                }
            }
            current = map;
        }
        if is_pooled {
            operations.push(Operation::Pool {
                map: current,
                window: config.pooling.window(current.height, current.width),
                pooled,
            });
        }
        for (index, output) in config.outputs.iter().enumerate() {
            let output = match (output, weights.head) {
                (Output::Features, _) => Operation::ExportFeatures {
                    pooled,
                    output: slot(index),
                },
                (Output::Logits, Some(layer)) => Operation::Head(Head {
                    layer,
                    pooled,
                    logits,
                    output: slot(index),
                }),
                _ => continue,
            };
            operations.push(output);
        }

        // What is needed all the time.
        place_scratch(&mut operations, &mut rooms, threads);
        let partial_stride = strassen::partial_values(simd::panel_vectors(weights.isa()), lanes);
        let rows = maps.iter().chain([&input]).map(FeatureMap::row);
        let most_channels = layers.iter().map(|sized| sized.layer.out_channels).max();
        let offsets = Offsets {
            zeros: rooms.append((rows.max().unwrap_or(0) + PIXEL_GAP) * VALUE),
            partial: rooms.append(partial_stride * VALUE * threads),
            partial_stride: partial_stride * VALUE,
            discarded: rooms.append(room_of(most_channels.unwrap_or(0))),
        };
        let chunks = operations.iter().map(|operation| operation.chunks(threads));
        Ok(Self {
            chunks: chunks.collect(),
            operations,
            offsets,
            input,
            outputs,
            arena: rooms.bytes,
        })
    }
}

/// Layers that are one operation: a single layer, or a depthwise one and the pointwise one after
/// it.
struct Group {
    first: usize,
    last: usize,
    /// Index of the operation, where two halves count as one.
    operation: usize,
    /// Outputs that are its map. Each is exported by an operation of its own.
    outputs: Vec<usize>,
    /// Outputs that a branch makes of its map. Each takes a convolution and an export.
    branches: Vec<usize>,
}

impl Group {
    /// Index of the operation after its own, its exports and its branches.
    fn after(&self) -> usize {
        self.operation + 1 + self.outputs.len() + 2 * self.branches.len()
    }

    /// Indices of the convolutions of its branches.
    fn branch_operations(&self) -> impl Iterator<Item = usize> {
        let first = self.operation + 1 + self.outputs.len();
        (first..self.after()).step_by(2)
    }

    fn compute(
        &self,
        layers: &[Sized],
        weights: &PackedWeights,
        input: FeatureMap,
        output: FeatureMap,
        threads: usize,
    ) -> Result<Operation, KernelError> {
        let (first, last) = (&layers[self.first], &layers[self.last]);
        match first.layer.kind {
            ConvKind::Depthwise if self.first != self.last => {
                let lanes = weights.isa().lanes();
                let pixel = pixel_stride(first.layer.out_channels, lanes);
                let matrix = last.matrix(pixel, output, weights);
                let operation = separable(first.depthwise(input), matrix, threads);
                Ok(Operation::Separable(operation))
            }
            ConvKind::Depthwise => Ok(Operation::Depthwise(first.depthwise(input), output)),
            ConvKind::Conv if first.layer.scheme != Scheme::Plain => {
                Err(KernelError::Unsupported {
                    what: "a pointwise layer of another stride than it was packed with, or whose \
                           depthwise input is an output",
                })
            }
            ConvKind::Conv => {
                let matrix = first.matrix(input.pixel, output, weights);
                let is_first = self.first == 0;
                let convolution = Convolution::new(input, first.size, matrix, is_first);
                Ok(Operation::Convolution(convolution))
            }
        }
    }
}

fn groups(layers: &[Sized], weights: &PackedWeights, outputs: &[Output]) -> Vec<Group> {
    let reads = |output: &Output| match *output {
        Output::Branch(index) => weights.branches.get(index).map(|(reads, _)| *reads),
        _ => None,
    };
    let is_read = |layer: usize| outputs.iter().any(|output| reads(output) == Some(layer));
    let mut groups: Vec<Group> = Vec::new();
    let mut first = 0;
    while first < layers.len() {
        let is_fused = layers[first].layer.kind == ConvKind::Depthwise
            && layers.get(first + 1).is_some_and(Sized::is_pointwise)
            && !outputs.contains(&Output::Map(first))
            && !is_read(first);
        let last = first + usize::from(is_fused);
        let is_its = |&index: &usize| outputs[index] == Output::Map(last);
        groups.push(Group {
            first,
            last,
            operation: groups.last().map_or(1, Group::after),
            outputs: (0..outputs.len()).filter(is_its).collect(),
            branches: (0..outputs.len())
                .filter(|&index| reads(&outputs[index]) == Some(last))
                .collect(),
        });
        first = last + 1;
    }
    groups
}

fn input_map(config: &ProgramConfig, first: &Sized) -> FeatureMap {
    let (left, right) = columns_of_zeros(&first.size);
    FeatureMap {
        start: 0,
        value: VALUE,
        height: config.height,
        width: config.width,
        channels: first.layer.in_channels,
        left,
        right,
        // No gaps, so that a row of taps is one run of values.
        pixel: first.layer.in_channels,
    }
}

/// Rows, columns and channels of each output.
fn output_shapes(
    layers: &[Sized],
    config: &ProgramConfig,
    weights: &PackedWeights,
) -> Result<Vec<[usize; 3]>, KernelError> {
    let head = weights.head;
    if config.outputs.is_empty() {
        return Err(KernelError::Zero { what: "outputs" });
    }
    let channels = layers.last().map_or(0, |last| last.layer.out_channels);
    let shape = |output: &Output| match *output {
        Output::Map(index) => match layers.get(index) {
            Some(Sized { layer, size }) => {
                Ok([size.rows.output, size.columns.output, layer.out_channels])
            }
            None => Err(KernelError::Length {
                what: "layers",
                expected: index.saturating_add(1),
                found: layers.len(),
            }),
        },
        Output::Branch(index) => {
            let branch = weights.branches.get(index);
            let found = branch.and_then(|(reads, branch)| Some((layers.get(*reads)?, branch)));
            match found {
                Some((Sized { size, .. }, branch)) => {
                    Ok([size.rows.output, size.columns.output, branch.out_channels])
                }
                None => Err(KernelError::Length {
                    what: "branches of the layers that run",
                    expected: index.saturating_add(1),
                    found: weights.branches.len(),
                }),
            }
        }
        Output::Features => Ok([1, 1, channels]),
        Output::Logits => match head {
            Some(head) if head.in_channels == channels => Ok([1, 1, head.out_channels]),
            _ => Err(KernelError::Length {
                what: "features of the classifier",
                expected: head.map_or(0, |head| head.in_channels),
                found: channels,
            }),
        },
    };
    config.outputs.iter().map(shape).collect()
}

/// Assigns one scratch for all separable operations, with a part per thread or one for all.
fn place_scratch(operations: &mut [Operation], rooms: &mut Rooms, threads: usize) {
    let needed = |operation: &Operation| match operation {
        Operation::Separable(operation) => operation.scratch_stride * threads,
        Operation::SeparableDepthwise(operation) => operation.scratch_stride,
        _ => 0,
    };
    let scratch = rooms.append(operations.iter().map(needed).max().unwrap_or(0));
    for operation in operations {
        if let Operation::Separable(operation)
        | Operation::SeparableDepthwise(operation)
        | Operation::SeparablePointwise(operation) = operation
        {
            operation.scratch = scratch;
        }
    }
}
