//! Writes weights in the order in which kernels read them.
//!
//! ```text
//! matrix     [panels][k][vectors of the panel][LANES], then all biases [vectors][LANES]
//!            by Strassen's scheme [pairs of panels][7 blocks][k of a half][vectors][LANES]
//! depthwise  [vectors][taps + bias][LANES]
//! ```
//!
//! All layers lie in one buffer in the order of computation, so that prefetching beyond the end of
//! one layer brings in the next. Channels are padded with zeros to whole vectors: a padded
//! channel's sum is 0, its activation 0, and no tail needs other code.

use std::ops::Range;

use half::{bf16, f16};

use super::packed::{HEAD_PANEL, Head, Layer, LayerKind, PackedLayer};
use super::strassen::{self, Scheme};
use crate::error::{KernelError, check_length};
use crate::simd::weight::Weight;
use crate::simd::{AlignedBuffer, Isa, WeightType};
use crate::{Activation, simd};

/// Writes packed weights one after the other into a buffer that is large enough from the start:
/// growing it would take twice the memory while weights are loaded.
pub(super) struct Packer {
    weight_type: WeightType,
    isa: Isa,
    lanes: usize,
    pub(super) buffer: AlignedBuffer,
    len: usize,
}

impl Packer {
    pub(super) fn new(
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
                let weights = match packer.scheme_of(layers, index) {
                    Scheme::Plain => layer.weights.len(),
                    Scheme::Strassen => layer.weights.len() / 4 * strassen::BLOCKS,
                };
                room(layer.out_channels, weights, weight_type)
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

    /// How a layer's product is computed. Halves keep their plain form: the scheme's weights are
    /// more, and sums of them would have to be rounded again.
    fn scheme_of(&self, layers: &[Layer<'_>], index: usize) -> Scheme {
        let layer = &layers[index];
        let is_separable = layer.kind == LayerKind::Conv
            && layer.geometry.is_pointwise()
            && index > 0
            && layers[index - 1].kind == LayerKind::Depthwise;
        if is_separable && self.weight_type == WeightType::F32 {
            Scheme::of(layer.in_channels, layer.out_channels, self.lanes)
        } else {
            Scheme::Plain
        }
    }

    pub(super) fn layer(
        &mut self,
        layers: &[Layer<'_>],
        index: usize,
    ) -> Result<PackedLayer, KernelError> {
        let layer = &layers[index];
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
        let scheme = self.scheme_of(layers, index);
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
                let weight = |o, k| layer.weights[(o * inputs + k % inputs) * taps + k / inputs];
                match scheme {
                    Scheme::Plain => self.matrix(weight_type, &shape, weight),
                    Scheme::Strassen => self.strassen(&shape, weight),
                }
            }
        }
        let bias = self.len;
        match (layer.kind, scheme) {
            (LayerKind::Depthwise, _) => {}
            (LayerKind::Conv, Scheme::Plain) => self.biases(layer.bias),
            (LayerKind::Conv, Scheme::Strassen) => self.strassen_biases(layer.bias),
        }
        Ok(PackedLayer {
            kind: layer.kind,
            kernel: layer.geometry.kernel,
            in_channels: inputs,
            out_channels: outputs,
            activation: layer.activation,
            weight_type,
            scheme,
            weights,
            bias,
        })
    }

    pub(super) fn head(
        &mut self,
        head: &Head<'_>,
        channels: usize,
    ) -> Result<PackedLayer, KernelError> {
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
            scheme: Scheme::Plain,
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

    /// Pairs of panels of `[blocks][half the depth][vectors of a panel][LANES]`.
    fn strassen(&mut self, shape: &MatrixShape, weight: impl Fn(usize, usize) -> f32) {
        let half = shape.depth / 2;
        for pair in self.pairs_of_panels(shape.outputs) {
            let width = pair.len() / 2;
            let values = self.take::<f32>(strassen::BLOCKS * half * width);
            for (block, values) in values.chunks_exact_mut(half * width).enumerate() {
                for (left, lane) in pair.clone().zip(0..width) {
                    let right = left + width;
                    for (k, to) in values.iter_mut().skip(lane).step_by(width).enumerate() {
                        let [upper, lower] = [k, k + half];
                        *to = strassen::weight(
                            block,
                            [
                                weight(left, upper),
                                weight(right, upper),
                                weight(left, lower),
                                weight(right, lower),
                            ],
                        );
                    }
                }
            }
        }
    }

    /// Those of a pair's first panel, and what is added to them for its second.
    fn strassen_biases(&mut self, bias: &[f32]) {
        for pair in self.pairs_of_panels(bias.len()) {
            let (left, right) = bias[pair.clone()].split_at(pair.len() / 2);
            let values = self.take::<f32>(2 * left.len());
            let (first, difference) = values.split_at_mut(left.len());
            first.copy_from_slice(left);
            for ((to, left), right) in difference.iter_mut().zip(left).zip(right) {
                *to = right - left;
            }
        }
    }

    /// The output channels of each pair of panels.
    fn pairs_of_panels(&self, outputs: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let pair = 2 * simd::panel_vectors(self.isa) * self.lanes;
        (0..outputs)
            .step_by(pair)
            .map(move |first| first..outputs.min(first + pair))
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
