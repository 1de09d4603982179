//! Layers and an input size -> steps, and the places of their maps in the arena.

use super::convolution::{Convolution, MOST_TAPS};
use super::depthwise::Depthwise;
use super::map::{Map, columns_of_zeros};
use super::matrix::Matrix;
use super::packed::{PackedLayer, PackedNetwork};
use super::program::{Output, ProgramConfig};
use super::separable::{Separable, Split};
use super::step::Step;
use super::strassen::{self, Scheme};
use crate::error::KernelError;
use crate::geometry::ConvSize;
use crate::network::LayerKind;
use crate::panels::PanelLayout;
use crate::simd;

/// Values between the pixels of a map beyond its channels. Strides of a power of two would put the
/// same channel of neighbouring pixels into the same few sets of the L1 cache.
const PIXEL_GAP: usize = 16;

/// Channels below which there is no gap: the strides are short enough, and the gap itself would be
/// read by the hardware's prefetching. On Zen 5 (1.0/224, one thread) block 1 with its 32 channels
/// takes 0.35 ms without and 0.40 ms with a gap; from 64 channels on no difference was seen.
const FEWEST_WITH_GAP: usize = 64;

/// Values of the depthwise result that one band keeps between the two halves of a separable
/// block: half of a small L2 (512 KiB), the other half being for weights.
const BAND_VALUES: usize = 64 << 10;

/// Pixels a thread below which a layer is split by channels: two tiles are too few to read all
/// weights for.
const FEWEST_PIXELS: usize = 28;

/// Everything that a program's run needs to know.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// The input image's map.
    pub(super) input: Map,
    /// The last map, before pooling.
    pub(super) last: Map,
    /// Where pooled features and logits lie, in whole vectors.
    pub(super) pooled: usize,
    pub(super) logits: usize,
    /// Rows, columns and channels of the output.
    pub(super) output: [usize; 3],
    /// Values of the arena.
    pub(super) arena: usize,
    /// Place of the row of zeros.
    pub(super) zeros: usize,
    /// Where each thread keeps a tile's partial results, and how many values they are.
    pub(super) partial: usize,
    pub(super) partial_stride: usize,
    /// A place for a pixel that nobody reads. One map at most has such a pixel at a time, and
    /// threads write different channels of it.
    pub(super) discarded: usize,
}

/// A layer with its sizes.
struct Sized {
    layer: PackedLayer,
    size: ConvSize,
}

/// The plan by which `threads` threads run one image.
pub(super) fn build(
    network: &PackedNetwork,
    config: &ProgramConfig,
    threads: usize,
) -> Result<Plan, KernelError> {
    let lanes = network.isa().lanes();
    let mut layers = Vec::new();
    let (mut height, mut width) = (config.height, config.width);
    if config.geometries.len() > network.layers.len() {
        return Err(KernelError::Length {
            what: "geometries",
            expected: network.layers.len(),
            found: config.geometries.len(),
        });
    }
    for (layer, geometry) in network.layers.iter().zip(&config.geometries) {
        let [rows, columns] = geometry.kernel;
        if geometry.kernel != layer.kernel || rows * columns > MOST_TAPS {
            return Err(KernelError::Length {
                what: "kernel",
                expected: (layer.kernel[0] * layer.kernel[1]).min(MOST_TAPS),
                found: rows * columns,
            });
        }
        let size = geometry.resolve(1, height, width)?;
        (height, width) = (size.rows.output, size.columns.output);
        layers.push(Sized {
            layer: *layer,
            size,
        });
    }
    let Some(first) = layers.first() else {
        return Err(KernelError::Zero { what: "layers" });
    };

    // The arena: zeros, scratch, input image, and two maps that take turns.
    let mut arena = Arena::default();
    let (left, right) = columns_of_zeros(&first.size);
    let input = arena.add(Map {
        offset: 0,
        height: config.height,
        width: config.width,
        channels: first.layer.in_channels,
        left,
        right,
        // Without gaps, so that a row of taps is one run of values.
        pixel: first.layer.in_channels,
    });
    let mut outputs = Vec::new();
    for (index, sized) in layers.iter().enumerate() {
        let channels = sized.layer.out_channels;
        let (left, right) = layers
            .get(index + 1)
            .map_or((0, 0), |next| columns_of_zeros(&next.size));
        outputs.push(Map {
            offset: 0,
            height: sized.size.rows.output,
            width: sized.size.columns.output,
            channels,
            left,
            right,
            pixel: pixel_stride(channels, lanes),
        });
    }

    // A depthwise layer and the pointwise one after it are one step.
    let mut groups = Vec::new();
    let mut index = 0;
    while index < layers.len() {
        let fused = layers[index].layer.kind == LayerKind::Depthwise
            && layers.get(index + 1).is_some_and(is_pointwise);
        let end = index + usize::from(fused);
        groups.push((index, end));
        index = end + 1;
    }
    // A step reads one map and writes the other, so two places are enough for any chain.
    let room = |parity: usize| {
        let turns = groups.iter().skip(parity).step_by(2);
        turns.map(|&(_, end)| outputs[end].len()).max().unwrap_or(0)
    };
    let places = [arena.reserve(room(0)), arena.reserve(room(1))];

    let mut steps = vec![Step::Load];
    let mut current = input;
    for (turn, &(start, end)) in groups.iter().enumerate() {
        let (sized, last) = (&layers[start], &layers[end]);
        let output = Map {
            offset: places[turn % 2],
            ..outputs[end]
        };
        steps.push(match (sized.layer.kind, start == end) {
            (LayerKind::Depthwise, false) => Step::Separable(separable(
                depthwise(sized, current),
                matrix(last, outputs[start], output, network),
                threads,
                lanes,
            )),
            (LayerKind::Depthwise, true) => Step::Depthwise(depthwise(sized, current), output),
            (LayerKind::Conv, _) if last.layer.scheme != Scheme::Plain => {
                return Err(KernelError::Unsupported {
                    what: "another stride of a pointwise layer than it was packed with",
                });
            }
            (LayerKind::Conv, _) => Step::Convolution(Convolution {
                input: current,
                size: sized.size,
                matrix: matrix(sized, current, output, network),
                is_first: turn == 0,
            }),
        });
        current = output;
    }

    let window = config.pooling.window(current.height, current.width);
    let pool = Step::Pool { window };
    let channels = current.channels;
    let pooled = arena.reserve(channels.next_multiple_of(lanes));
    let mut logits = pooled;
    let output = match (config.output, network.head) {
        (Output::Map, _) => {
            steps.push(Step::Export);
            [current.height, current.width, channels]
        }
        (Output::Features, _) => {
            steps.extend([pool, Step::ExportFeatures]);
            [1, 1, channels]
        }
        (Output::Logits, Some(head)) if head.in_channels == channels => {
            logits = arena.reserve(head.out_channels.next_multiple_of(lanes));
            steps.extend([pool, Step::Head(head)]);
            [1, 1, head.out_channels]
        }
        (Output::Logits, head) => {
            return Err(KernelError::Length {
                what: "features of the classifier",
                expected: head.map_or(0, |head| head.in_channels),
                found: channels,
            });
        }
    };
    let widest = |map: &Map| map.row();
    let longest = outputs
        .iter()
        .chain([&input])
        .map(widest)
        .max()
        .unwrap_or(0);
    let zeros = arena.reserve(longest + PIXEL_GAP);
    place_scratch(&mut steps, &mut arena, threads);
    let partial_stride = strassen::partial_values(simd::panel_vectors(network.isa()), lanes);
    let partial = arena.reserve(partial_stride * threads);
    let most_channels = outputs.iter().map(|map| map.channels).max().unwrap_or(0);
    let discarded = arena.reserve(most_channels.next_multiple_of(lanes));
    Ok(Plan {
        steps,
        input,
        last: current,
        pooled,
        logits,
        output,
        arena: arena.len,
        zeros,
        partial,
        partial_stride,
        discarded,
    })
}

/// Values from a pixel to the next: whole vectors, and the gap.
fn pixel_stride(channels: usize, lanes: usize) -> usize {
    let padded = channels.next_multiple_of(lanes);
    if padded < FEWEST_WITH_GAP {
        padded
    } else {
        padded + PIXEL_GAP
    }
}

fn is_pointwise(sized: &Sized) -> bool {
    let whole = |axis: &crate::geometry::Axis| {
        axis.stride == 1 && axis.before == 0 && axis.input == axis.output
    };
    sized.layer.kind == LayerKind::Conv
        && sized.layer.kernel == [1, 1]
        && whole(&sized.size.rows)
        && whole(&sized.size.columns)
}

fn depthwise(sized: &Sized, input: Map) -> Depthwise {
    Depthwise {
        input,
        size: sized.size,
        weights: sized.layer.weights,
        channels: sized.layer.out_channels,
        bounds: sized.layer.activation.bounds(),
    }
}

fn matrix(sized: &Sized, input: Map, output: Map, network: &PackedNetwork) -> Matrix {
    let [rows, columns] = sized.layer.kernel;
    Matrix {
        pixel: input.pixel,
        layout: PanelLayout::new(
            sized.layer.out_channels,
            rows * columns * sized.layer.in_channels,
            network.isa().lanes(),
            simd::panel_vectors(network.isa()),
        ),
        weight_type: sized.layer.weight_type,
        scheme: sized.layer.scheme,
        weights: sized.layer.weights,
        bias: sized.layer.bias,
        bounds: sized.layer.activation.bounds(),
        output,
    }
}

fn separable(depthwise: Depthwise, mut matrix: Matrix, threads: usize, lanes: usize) -> Separable {
    let (height, width) = (depthwise.size.rows.output, depthwise.size.columns.output);
    matrix.pixel = pixel_stride(depthwise.channels, lanes);
    // A pair of pixels must not be cut.
    let (unit, pixel) = match matrix.scheme {
        Scheme::Plain => (1, matrix.pixel),
        Scheme::Strassen => {
            let sums = strassen::sums_step(matrix.layout.depth()).div_ceil(2);
            (1 + width % 2, matrix.pixel + sums)
        }
    };
    let split = split(height, width, unit, threads);
    let band = match split {
        Split::Channels => height.next_multiple_of(unit),
        Split::Rows => {
            let most = height.div_ceil(unit * threads).max(1);
            (BAND_VALUES / (unit * width * pixel).max(1)).clamp(1, most) * unit
        }
    };
    let pixels = (band * width).next_multiple_of(unit);
    Separable {
        depthwise,
        matrix,
        split,
        unit,
        band,
        scratch: 0,
        sums: pixels * matrix.pixel,
        scratch_stride: pixels * pixel,
    }
}

/// By rows, each thread reads what it wrote itself but for a border; by channels it reads what the
/// others wrote, and there is one more barrier. So rows are better where they can be shared out
/// evenly: on two cores of Zen 5, 0.25/128 takes 0.085 ms by rows and 0.093 by channels, and where
/// the cores have no L3 in common, 0.16 and 0.22. But 7 rows make 4 and 3, and the thread with 3
/// would wait a quarter of the time.
fn split(height: usize, width: usize, unit: usize, threads: usize) -> Split {
    let most = height.div_ceil(unit).div_ceil(threads) * unit;
    let even = 12 * threads * most <= 13 * height;
    if threads == 1 || even && most * width >= FEWEST_PIXELS {
        Split::Rows
    } else {
        Split::Channels
    }
}

/// One scratch for all separable steps: a place a thread, or one for all.
fn place_scratch(steps: &mut [Step], arena: &mut Arena, threads: usize) {
    let needed = |step: &Step| match step {
        Step::Separable(step) if step.split == Split::Rows => step.scratch_stride * threads,
        Step::Separable(step) => step.scratch_stride,
        _ => 0,
    };
    let scratch = arena.reserve(steps.iter().map(needed).max().unwrap_or(0));
    for step in steps {
        if let Step::Separable(step) = step {
            step.scratch = scratch;
        }
    }
}

/// Places in the arena, each on a cache line.
#[derive(Default)]
struct Arena {
    len: usize,
}

impl Arena {
    fn reserve(&mut self, len: usize) -> usize {
        let offset = self.len.next_multiple_of(16);
        self.len = offset + len;
        offset
    }

    fn add(&mut self, map: Map) -> Map {
        let offset = self.reserve(map.len());
        Map { offset, ..map }
    }
}
