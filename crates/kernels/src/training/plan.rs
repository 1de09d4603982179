//! Sizes, and places in the one arena: maps, gradients, packed weights, statistics, scratch.

use super::depthwise::{Depthwise, MOST_ROWS};
use super::matrix::Matrix;
use super::network::{Head, Layer, Network, TrainingOptions};
use super::product::MOST_VECTORS;
use crate::error::KernelError;
use crate::geometry::ConvSize;
use crate::inference::{LayerKind, Pooling};

/// What depends on the instruction set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vectors {
    /// Values in a vector.
    pub(super) lanes: usize,
    /// Vectors in a panel of a matrix product.
    pub(super) panel: usize,
}

impl Vectors {
    pub(super) fn count(&self, channels: usize) -> usize {
        channels.div_ceil(self.lanes)
    }

    /// Channels with the zeros that fill up the last vector.
    pub(super) fn width(&self, channels: usize) -> usize {
        self.count(channels) * self.lanes
    }
}

/// What a layer keeps for each channel, as rows of the layer's width.
#[derive(Debug, Clone, Copy)]
pub(super) enum Coefficient {
    /// `a = clamp(z * scale + shift)`.
    Scale,
    Shift,
    /// Of the batch, or the running ones of a frozen layer.
    Mean,
    Variance,
    /// `1 / sqrt(variance + epsilon)`.
    Inverse,
    /// `dz = g * scale + z * slope + offset`.
    Slope,
    Offset,
}

/// Number of coefficients.
const COEFFICIENTS: usize = 7;

/// One layer.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) index: usize,
    pub(super) layer: Layer,
    pub(super) size: ConvSize,
    /// Output pixels of all images.
    pub(super) pixels: usize,
    /// Output channels in vectors, and in values.
    pub(super) vectors: usize,
    pub(super) width: usize,
    /// Place of `z`.
    pub(super) map: usize,
    coefficients: usize,
    /// Normalises by running statistics.
    pub(super) fixed_statistics: bool,
    pub(super) operation: Operation,
}

/// What it computes.
#[derive(Debug)]
pub(super) enum Operation {
    Matrix(Matrix),
    Depthwise(Depthwise),
}

impl Step {
    /// Place of a row of coefficients.
    pub(super) fn coefficient(&self, which: Coefficient) -> usize {
        self.coefficients + which as usize * self.width
    }
}

/// Places of the classifier's data.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadPlan {
    pub(super) head: Head,
    pub(super) channels: usize,
    /// Channels and classes with the zeros that fill up their last vectors.
    pub(super) width: usize,
    pub(super) class_width: usize,
    /// `[batch, width]`.
    pub(super) features: usize,
    /// Features times dropout's factors.
    pub(super) dropped: usize,
    pub(super) feature_gradients: usize,
    /// `[batch, class_width]`; the gradient's too.
    pub(super) logits: usize,
    /// Packed `[panels of classes][channels]`, biases, and `[panels of channels][classes]`.
    pub(super) weights: usize,
    pub(super) bias: usize,
    pub(super) transposed: usize,
    /// `[class_width, width]`.
    pub(super) sums: usize,
    /// Rows and columns that are averaged.
    pub(super) window: [usize; 2],
}

/// The whole program.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) vectors: Vectors,
    pub(super) image: [usize; 3],
    pub(super) steps: Vec<Step>,
    pub(super) head: HeadPlan,
    /// First step that has gradients.
    pub(super) first_trained: usize,
    /// Two buffers of gradients: step `i` reads the one of its parity.
    pub(super) gradients: [usize; 2],
    /// Two rows of sums for each thread, and values from a thread to the next. The first vector of
    /// each thread holds its number of pixels.
    pub(super) partials: usize,
    pub(super) partial_stride: usize,
    /// Sums of weight gradients, and scratch, with values from a thread to the next.
    pub(super) weight_sums: usize,
    pub(super) weight_sums_stride: usize,
    pub(super) scratch: usize,
    pub(super) scratch_stride: usize,
    /// Values of the arena.
    pub(super) arena: usize,
}

/// Gives out places on cache lines.
#[derive(Default)]
pub(super) struct Places(usize);

impl Places {
    pub(super) fn take(&mut self, values: usize) -> usize {
        let place = self.0;
        self.0 += values.next_multiple_of(16);
        place
    }
}

impl Plan {
    pub(super) fn new(
        network: &Network,
        options: &TrainingOptions,
        vectors: Vectors,
    ) -> Result<Self, KernelError> {
        network.check()?;
        for (what, value) in [("threads", options.threads), ("batch", options.batch)] {
            if value == 0 {
                return Err(KernelError::Zero { what });
            }
        }
        let mut places = Places::default();
        let mut steps: Vec<Step> = Vec::new();
        let [mut height, mut width, _] = network.image;
        let first_trained = options.frozen_layers.min(network.layers.len());
        let (mut scratch, mut largest_map, mut largest_width) = (0, 0, 0);
        let (mut thread_sums, mut common_sums) = (0, 0);
        for (index, &layer) in network.layers.iter().enumerate() {
            let size = layer.geometry.resolve(options.batch, height, width)?;
            (height, width) = (size.rows.output, size.columns.output);
            let operation = match layer.kind {
                LayerKind::Conv => {
                    let matrix = Matrix::new(&layer, &size, vectors, options, &mut places);
                    scratch = scratch.max(matrix.scratch());
                    match matrix.splits_panels {
                        true => common_sums = common_sums.max(matrix.weight_sums()),
                        false => thread_sums = thread_sums.max(matrix.weight_sums()),
                    }
                    Operation::Matrix(matrix)
                }
                LayerKind::Depthwise => {
                    let depthwise = Depthwise::new(&layer, &size, vectors, options, &mut places);
                    scratch = scratch.max(depthwise.scratch());
                    thread_sums = thread_sums.max(depthwise.weight_sums());
                    Operation::Depthwise(depthwise)
                }
            };
            let pixels = size.output_rows() * size.columns.output;
            let map_width = vectors.width(layer.out_channels);
            let length = crate::error::volume("map", &[pixels, map_width])?;
            if vectors.count(layer.out_channels) > MOST_VECTORS || size.rows.kernel > MOST_ROWS {
                return Err(KernelError::Unsupported {
                    what: "training of that many channels or rows of taps",
                });
            }
            largest_map = largest_map.max(length);
            largest_width = largest_width.max(map_width);
            steps.push(Step {
                index,
                layer,
                size,
                pixels,
                vectors: vectors.count(layer.out_channels),
                width: map_width,
                map: places.take(length),
                coefficients: places.take(COEFFICIENTS * map_width),
                fixed_statistics: options.frozen_batch_norm || index < first_trained,
                operation,
            });
        }
        let window = match network.pooling {
            Pooling::Global => [height, width],
            Pooling::Window([rows, columns]) => [rows.min(height), columns.min(width)],
        };
        let channels = network.layers.last().map_or(0, |layer| layer.out_channels);
        let head = HeadPlan::new(
            network.head,
            channels,
            window,
            vectors,
            options,
            &mut places,
        );
        let needs_gradients = first_trained < steps.len();
        let gradient = if needs_gradients { largest_map } else { 0 };
        let partial_stride = vectors.lanes + 2 * largest_width;
        Ok(Self {
            vectors,
            image: network.image,
            steps,
            head,
            first_trained,
            gradients: [places.take(gradient), places.take(gradient)],
            partials: places.take(options.threads * partial_stride),
            partial_stride,
            weight_sums: places.take(common_sums.max(options.threads * thread_sums)),
            weight_sums_stride: thread_sums,
            scratch: places.take(options.threads * scratch.next_multiple_of(16)),
            scratch_stride: scratch.next_multiple_of(16),
            arena: places.0,
        })
    }
}

impl HeadPlan {
    fn new(
        head: Head,
        channels: usize,
        window: [usize; 2],
        vectors: Vectors,
        options: &TrainingOptions,
        places: &mut Places,
    ) -> Self {
        let (width, class_width) = (vectors.width(channels), vectors.width(head.classes));
        Self {
            head,
            channels,
            width,
            class_width,
            features: places.take(options.batch * width),
            dropped: places.take(options.batch * width),
            feature_gradients: places.take(options.batch * width),
            logits: places.take(options.batch * class_width),
            weights: places.take(class_width * channels),
            bias: places.take(class_width),
            transposed: places.take(width * head.classes),
            sums: places.take(class_width * width),
            window,
        }
    }
}
