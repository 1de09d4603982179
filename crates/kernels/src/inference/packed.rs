//! Weights in the order in which kernels read them.
//!
//! ```text
//! matrix     [panels][k][vectors of the panel][LANES], then all biases [vectors][LANES]
//! depthwise  [vectors][taps + bias][LANES]
//! ```
//!
//! Weights of pointwise layers and of the classifier are f32, or halves in half the memory. All
//! others stay f32: they are one in a hundred, and each of them acts on more of the result.
//!
//! All layers lie in one buffer in the order of computation, so that prefetching beyond the end of
//! one layer brings in the next. Channels are padded with zeros to whole vectors: a padded
//! channel's sum is 0, its activation 0, and no tail needs other code.

use half::{bf16, f16};

use crate::error::{KernelError, check_length};
use crate::geometry::ConvGeometry;
use crate::simd::weight::Weight;
use crate::simd::{AlignedBuffer, Isa, WeightType};
use crate::{Activation, simd};

/// What a layer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// Full convolution, pointwise included; weights `[out, in, rows, columns]`.
    Conv,
    /// Depthwise convolution; weights `[channels, 1, rows, columns]`, in and out channels equal.
    Depthwise,
}

/// One layer as the caller has it, batch normalisation folded in.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// What it does.
    pub kind: LayerKind,
    /// Its window. Padding decides where zeros are, and nothing else of the packed weights.
    pub geometry: ConvGeometry,
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Weights.
    pub weights: &'a [f32],
    /// One value an output channel.
    pub bias: &'a [f32],
    /// What follows.
    pub activation: Activation,
}

/// The classifier: a matrix on pooled features.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Number of classes.
    pub classes: usize,
    /// `[classes, channels]`.
    pub weights: &'a [f32],
    /// `[classes]`.
    pub bias: &'a [f32],
}

/// Where a packed layer's weights are, in values from the start of the buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PackedLayer {
    pub(super) kind: LayerKind,
    pub(super) kernel: [usize; 2],
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    pub(super) activation: Activation,
    pub(super) weight_type: WeightType,
    /// First panel, or first vector of a depthwise layer.
    pub(super) weights: usize,
    /// Biases of a matrix.
    pub(super) bias: usize,
}

/// Packed weights of a network for one instruction set; read-only, shared by programs of any
/// input size, stride and number of threads.
#[derive(Debug)]
pub struct PackedNetwork {
    isa: Isa,
    weight_type: WeightType,
    pub(super) layers: Vec<PackedLayer>,
    pub(super) head: Option<PackedLayer>,
    pub(super) buffer: AlignedBuffer,
}

/// Vectors in a panel of the classifier. One pixel alone has one sum a vector, so it takes this
/// many to cover the multiply-add's latency of 4 cycles on 2 units.
pub(super) const HEAD_PANEL: usize = 8;

impl PackedNetwork {
    /// Packs layers and a classifier as f32.
    ///
    /// # Errors
    /// Where a slice has not the length of its shape, or channels do not fit each other.
    pub fn new(
        isa: Isa,
        layers: &[Layer<'_>],
        head: Option<&Head<'_>>,
    ) -> Result<Self, KernelError> {
        Self::of_type(WeightType::F32, isa, layers, head)
    }

    /// Packs layers and a classifier, pointwise weights and the classifier's rounded to a type.
    /// The first layer stays f32 in any case.
    ///
    /// # Errors
    /// As [`Self::new`], and where a weight is beyond the type's range.
    pub fn of_type(
        weight_type: WeightType,
        isa: Isa,
        layers: &[Layer<'_>],
        head: Option<&Head<'_>>,
    ) -> Result<Self, KernelError> {
        let mut packer = Packer::new(weight_type, isa, layers, head);
        let mut channels = None;
        let mut packed = Vec::with_capacity(layers.len());
        for (index, layer) in layers.iter().enumerate() {
            if channels.is_some_and(|channels| channels != layer.in_channels) {
                return Err(KernelError::Length {
                    what: "channels of the next layer",
                    expected: channels.unwrap_or(0),
                    found: layer.in_channels,
                });
            }
            channels = Some(layer.out_channels);
            packed.push(packer.layer(index, layer)?);
        }
        let head = match (head, channels) {
            (Some(head), Some(channels)) => Some(packer.head(head, channels)?),
            _ => None,
        };
        Ok(Self {
            isa,
            weight_type,
            layers: packed,
            head,
            buffer: packer.buffer,
        })
    }

    /// The instruction set that the weights are packed for.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The type of pointwise weights.
    pub fn weight_type(&self) -> WeightType {
        self.weight_type
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        4 * self.buffer.as_slice().len()
    }
}

/// Writes packed weights one after the other into a buffer that is large enough from the start:
/// growing it would take twice the memory while weights are loaded.
struct Packer {
    weight_type: WeightType,
    isa: Isa,
    lanes: usize,
    buffer: AlignedBuffer,
    len: usize,
}

impl Packer {
    fn new(
        weight_type: WeightType,
        isa: Isa,
        layers: &[Layer<'_>],
        head: Option<&Head<'_>>,
    ) -> Self {
        let lanes = isa.lanes();
        let mut packer = Self {
            weight_type,
            isa,
            lanes,
            buffer: AlignedBuffer::zeros(0),
            len: 0,
        };
        let room = |outputs: usize, weights: usize, weight_type: WeightType| {
            // Each output channel has its weights and a bias; both end on a cache line.
            let depth = weights.checked_div(outputs).unwrap_or(0);
            let padded = outputs.next_multiple_of(lanes);
            (padded * depth * weight_type.bytes()).div_ceil(VALUE) + padded + 2 * LINE
        };
        let body: usize = layers
            .iter()
            .enumerate()
            .map(|(index, layer)| {
                let weight_type = packer.type_of(index, layer);
                room(layer.out_channels, layer.weights.len(), weight_type)
            })
            .sum();
        let head = head.map_or(0, |head| {
            room(head.classes, head.weights.len(), weight_type)
        });
        packer.buffer = AlignedBuffer::zeros(body + head);
        packer
    }

    /// The type of the weights of a layer.
    fn type_of(&self, index: usize, layer: &Layer<'_>) -> WeightType {
        if index > 0 && layer.kind == LayerKind::Conv && layer.geometry.kernel == [1, 1] {
            self.weight_type
        } else {
            WeightType::F32
        }
    }

    fn layer(&mut self, index: usize, layer: &Layer<'_>) -> Result<PackedLayer, KernelError> {
        let [rows, columns] = layer.geometry.kernel;
        let (inputs, outputs) = (layer.in_channels, layer.out_channels);
        for (what, size) in [
            ("channels", inputs),
            ("channels", outputs),
            ("kernel size", rows),
            ("kernel size", columns),
        ] {
            if size == 0 {
                return Err(KernelError::Zero { what });
            }
        }
        check_length("bias", layer.bias.len(), &[outputs])?;
        let taps = rows * columns;
        let weight_type = self.type_of(index, layer);
        check_range(layer.weights, weight_type)?;
        let weights = self.align();
        match layer.kind {
            LayerKind::Depthwise => {
                check_length("channels of a depthwise layer", outputs, &[inputs])?;
                check_length("weights", layer.weights.len(), &[outputs, taps])?;
                for vector in 0..outputs.div_ceil(self.lanes) {
                    for tap in 0..taps {
                        self.vector(vector, outputs, |o| layer.weights[o * taps + tap]);
                    }
                    self.vector(vector, outputs, |o| layer.bias[o]);
                }
            }
            LayerKind::Conv => {
                check_length("weights", layer.weights.len(), &[outputs, inputs, taps])?;
                // k runs over taps, then input channels: the order of values in a map.
                let shape = MatrixShape {
                    outputs,
                    depth: taps * inputs,
                    panel: simd::panel_vectors(self.isa),
                };
                self.matrix(weight_type, &shape, |o, k| {
                    layer.weights[(o * inputs + k % inputs) * taps + k / inputs]
                });
            }
        }
        let bias = self.len;
        if layer.kind == LayerKind::Conv {
            self.biases(layer.bias);
        }
        Ok(PackedLayer {
            kind: layer.kind,
            kernel: layer.geometry.kernel,
            in_channels: inputs,
            out_channels: outputs,
            activation: layer.activation,
            weight_type,
            weights,
            bias,
        })
    }

    fn head(&mut self, head: &Head<'_>, channels: usize) -> Result<PackedLayer, KernelError> {
        if head.classes == 0 {
            return Err(KernelError::Zero { what: "classes" });
        }
        check_length("weights", head.weights.len(), &[head.classes, channels])?;
        check_length("bias", head.bias.len(), &[head.classes])?;
        check_range(head.weights, self.weight_type)?;
        let weights = self.align();
        let shape = MatrixShape {
            outputs: head.classes,
            depth: channels,
            panel: HEAD_PANEL,
        };
        self.matrix(self.weight_type, &shape, |o, k| {
            head.weights[o * channels + k]
        });
        let bias = self.len;
        self.biases(head.bias);
        Ok(PackedLayer {
            kind: LayerKind::Conv,
            kernel: [1, 1],
            in_channels: channels,
            out_channels: head.classes,
            activation: Activation::Identity,
            weight_type: self.weight_type,
            weights,
            bias,
        })
    }

    fn matrix(
        &mut self,
        weight_type: WeightType,
        shape: &MatrixShape,
        value: impl Fn(usize, usize) -> f32,
    ) {
        match weight_type {
            WeightType::F32 => self.matrix_of::<f32>(shape, value),
            WeightType::F16 => self.matrix_of::<f16>(shape, value),
            WeightType::Bf16 => self.matrix_of::<bf16>(shape, value),
        }
    }

    /// Panels of `[depth][vectors of the panel][LANES]`. Output by output, because that is the
    /// order in which the weights are read; the writes stay within one panel at a time.
    fn matrix_of<W: Weight>(&mut self, shape: &MatrixShape, value: impl Fn(usize, usize) -> f32) {
        let &MatrixShape {
            outputs,
            depth,
            panel,
        } = shape;
        let (lanes, vectors) = (self.lanes, outputs.div_ceil(self.lanes));
        let values = self.take::<W>(vectors * lanes * depth);
        for first in (0..vectors).step_by(panel) {
            let width = panel.min(vectors - first) * lanes;
            let packed = &mut values[first * lanes * depth..][..width * depth];
            let outputs = first * lanes..outputs.min(first * lanes + width);
            for (lane, output) in outputs.enumerate() {
                for (k, to) in packed.iter_mut().skip(lane).step_by(width).enumerate() {
                    *to = W::from_f32(value(output, k));
                }
            }
        }
    }

    fn biases(&mut self, bias: &[f32]) {
        for vector in 0..bias.len().div_ceil(self.lanes) {
            self.vector(vector, bias.len(), |o| bias[o]);
        }
    }

    /// One vector of output channels, zeros beyond the last.
    fn vector(&mut self, vector: usize, outputs: usize, value: impl Fn(usize) -> f32) {
        let first = vector * self.lanes;
        let values = self.take::<f32>(self.lanes);
        for (o, to) in (first..outputs).zip(values) {
            *to = value(o);
        }
    }

    /// The next weights of the buffer.
    fn take<W: Weight>(&mut self, count: usize) -> &mut [W] {
        let start = self.len;
        self.len += (count * size_of::<W>()).div_ceil(VALUE);
        self.buffer.weights_mut(start, count)
    }

    /// The next cache line.
    fn align(&mut self) -> usize {
        self.len = self.len.next_multiple_of(LINE);
        self.len
    }
}

/// A matrix to be packed.
struct MatrixShape {
    outputs: usize,
    depth: usize,
    /// Vectors in a panel.
    panel: usize,
}

/// Whether the largest weight is finite in a type as it is in f32.
fn check_range(weights: &[f32], weight_type: WeightType) -> Result<(), KernelError> {
    let largest = weights.iter().fold(0f32, |largest, w| largest.max(w.abs()));
    if largest.is_finite() && !weight_type.round(largest).is_finite() {
        return Err(KernelError::WeightRange {
            weight: largest.to_string(),
            weight_type,
        });
    }
    Ok(())
}

/// Values in a cache line, and bytes of a value.
const LINE: usize = 16;
const VALUE: usize = size_of::<f32>();
