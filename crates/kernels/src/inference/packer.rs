//! Packs weights in the order in which kernels read them.
//!
//! ```text
//! matrix     [panels], see `panels`, then all biases [vectors][LANES]
//!            by Strassen's scheme [pairs of panels][7 blocks], each a panel of half the depth
//! depthwise  [vectors][taps + bias][LANES]
//! ```
//!
//! All layers are in one buffer, in the order of computation, so that prefetching beyond the end of
//! one layer fetches the next. Channels are padded with zeros to whole vectors. The sum and the
//! activation of a padded channel are 0, so that no kernel needs special code for the last
//! channels.

use super::pack_columns::{PackPlain, PackStrassen, ScaledColumns, scale_weight};
use super::packable::{check_range, check_shape, read_by};
use super::packed::{
    BranchShape, HEAD_PANEL, HeadWeights, LayerShape, LayerWeights, PackedLayer, PackedWeights,
    Scheme,
};
use super::strassen;
use crate::error::{KernelError, check_length, volume};
use crate::network::ConvKind;
use crate::panels::{Panel, PanelLayout};
use crate::simd::weight::Weight;
use crate::simd::{AlignedBuffer, Isa, WeightType, dispatch, on_all_cores};
use crate::{Activation, simd};

/// Packs a network layer by layer, so that not all of its weights must be in memory twice.
///
/// The weights are written one after the other to a buffer that is large enough from the start.
/// Growing the buffer would need twice the memory.
#[derive(Debug)]
pub struct Packer {
    weight_type: WeightType,
    isa: Isa,
    lanes: usize,
    /// The layers that are not packed yet, the next one last.
    coming: Vec<Coming>,
    classes: Option<usize>,
    /// Those of the chain, then those of the branches.
    layers: Vec<PackedLayer>,
    /// The layer that each branch reads.
    branches: Vec<usize>,
    buffer: AlignedBuffer,
    len: usize,
}

/// A layer whose weights have not come yet.
#[derive(Debug)]
struct Coming {
    shape: LayerShape,
    weight_type: WeightType,
    scheme: Scheme,
}

impl Packer {
    /// Makes room for a network of these layers, and for a classifier if `classes` is given. The
    /// classifier's weights and the pointwise ones, except a first layer's, are stored as
    /// `weight_type`.
    ///
    /// # Errors
    /// If a size is zero, or channels do not match.
    pub fn new(
        weight_type: WeightType,
        isa: Isa,
        shapes: &[LayerShape],
        classes: Option<usize>,
    ) -> Result<Self, KernelError> {
        Self::with_branches(weight_type, isa, shapes, &[], classes)
    }

    /// As [`Self::new`], for a network with branches, whose weights come after those of all layers.
    ///
    /// # Errors
    /// As [`Self::new`], and if a branch reads no layer or is no convolution of single pixels.
    pub fn with_branches(
        weight_type: WeightType,
        isa: Isa,
        shapes: &[LayerShape],
        branches: &[BranchShape],
        classes: Option<usize>,
    ) -> Result<Self, KernelError> {
        let lanes = isa.lanes();
        let mut coming = Vec::with_capacity(shapes.len());
        let mut room = 0usize;
        let mut before: Option<&LayerShape> = None;
        let chain = shapes.iter().map(|shape| (shape, None));
        let beside = branches.iter().map(|branch| (&branch.shape, Some(branch)));
        for (shape, branch) in chain.chain(beside) {
            let read = match branch {
                None => before,
                Some(branch) => Some(read_by(branch, shapes)?),
            };
            check_shape(shape, read)?;
            let (weight_type, scheme) = match branch {
                None => form(shape, before, weight_type, isa),
                Some(_) => (weight_type, Scheme::Plain),
            };
            room = room.saturating_add(room_of(
                shape.out_channels,
                shape.depth(),
                weight_type,
                scheme,
                lanes,
            )?);
            coming.push(Coming {
                shape: *shape,
                weight_type,
                scheme,
            });
            if branch.is_none() {
                before = Some(shape);
            }
        }
        coming.reverse();
        let classes = classes.filter(|_| before.is_some());
        if let (Some(classes), Some(last)) = (classes, before) {
            if classes == 0 {
                return Err(KernelError::Zero { what: "classes" });
            }
            room = room.saturating_add(room_of(
                classes,
                last.out_channels,
                weight_type,
                Scheme::Plain,
                lanes,
            )?);
        }
        // The size of an allocation in bytes must not exceed `isize::MAX`.
        if room > isize::MAX as usize / VALUE - LINE {
            return Err(KernelError::Overflow { what: "weights" });
        }
        Ok(Self {
            weight_type,
            isa,
            lanes,
            layers: Vec::with_capacity(coming.len()),
            branches: branches.iter().map(|branch| branch.reads).collect(),
            coming,
            classes,
            buffer: AlignedBuffer::zeros(room).in_huge_pages(),
            len: 0,
        })
    }

    /// Packs the next layer's weights and biases.
    ///
    /// # Errors
    /// If the lengths do not match the layer's shape, or a weight is out of the type's range.
    pub fn layer(&mut self, weights: &[f32], bias: &[f32]) -> Result<(), KernelError> {
        self.scaled_layer(weights, None, bias)
    }

    /// As [`Self::layer`], with the weights of each output channel multiplied by a scale on the way.
    ///
    /// # Errors
    /// As [`Self::layer`], and if there is another number of scales.
    pub fn scaled_layer(
        &mut self,
        weights: &[f32],
        scales: Option<&[f64]>,
        bias: &[f32],
    ) -> Result<(), KernelError> {
        let Some(coming) = self.coming.pop() else {
            return Err(KernelError::Length {
                what: "layers",
                expected: self.layers.len(),
                found: self.layers.len() + 1,
            });
        };
        let Coming {
            shape,
            weight_type,
            scheme,
        } = coming;
        let (inputs, outputs, depth) = (shape.in_channels, shape.out_channels, shape.depth());
        check_length("bias", bias.len(), &[outputs])?;
        check_length("weights", weights.len(), &[outputs, depth])?;
        if let Some(scales) = scales {
            check_length("scales", scales.len(), &[outputs])?;
        }
        let scaled = |o: usize, weight: f32| match scales {
            Some(scales) => scale_weight(weight, scales[o]),
            None => weight,
        };
        check_range(weights, depth, scaled, weight_type)?;
        let [rows, columns] = shape.geometry.kernel;
        let taps = rows * columns;
        let start = self.align();
        let mut biases = start;
        match shape.kind {
            ConvKind::Depthwise => {
                for vector in 0..outputs.div_ceil(self.lanes) {
                    for tap in 0..taps {
                        self.vector(vector, outputs, |o| scaled(o, weights[o * taps + tap]));
                    }
                    self.vector(vector, outputs, |o| bias[o]);
                }
            }
            ConvKind::Conv => {
                let panel = simd::panel_vectors(self.isa);
                let layout = PanelLayout::new(outputs, depth, self.lanes, panel);
                let columns = ScaledColumns {
                    weights,
                    depth,
                    scales,
                };
                match scheme {
                    Scheme::Plain if taps == 1 => self.matrix(weight_type, layout, columns),
                    Scheme::Plain => {
                        // k runs over taps, and for each tap over input channels: the order of
                        // values in a map.
                        let values = self.take::<f32>(layout.len());
                        layout.pack(values, |o, k| {
                            scaled(o, weights[(o * inputs + k % inputs) * taps + k / inputs])
                        });
                    }
                    Scheme::Strassen => self.strassen(&layout, columns),
                }
                biases = self.len;
                match scheme {
                    Scheme::Plain => self.biases(bias),
                    Scheme::Strassen => self.strassen_biases(&layout, bias),
                }
            }
        }
        self.layers.push(PackedLayer {
            kind: shape.kind,
            kernel: shape.geometry.kernel,
            in_channels: inputs,
            out_channels: outputs,
            activation: shape.activation,
            weight_type,
            scheme,
            weights: start,
            bias: biases,
        });
        Ok(())
    }

    /// Packs the classifier's weights `[classes, channels]` and biases, and finishes.
    ///
    /// # Errors
    /// If the lengths do not match, a weight is out of the type's range, a layer is missing, or no
    /// number of classes was given.
    pub fn head(mut self, weights: &[f32], bias: &[f32]) -> Result<PackedWeights, KernelError> {
        let chain = self.layers.len().saturating_sub(self.branches.len());
        let last = self.layers[..chain].last();
        let (Some(classes), Some(last)) = (self.classes, last) else {
            return Err(KernelError::Zero { what: "classes" });
        };
        let channels = last.out_channels;
        check_length("weights", weights.len(), &[classes, channels])?;
        check_length("bias", bias.len(), &[classes])?;
        check_range(weights, channels, |_, weight| weight, self.weight_type)?;
        let start = self.align();
        let layout = PanelLayout::new(classes, channels, self.lanes, HEAD_PANEL);
        let columns = ScaledColumns {
            weights,
            depth: channels,
            scales: None,
        };
        self.matrix(self.weight_type, layout, columns);
        let biases = self.len;
        self.biases(bias);
        let head = PackedLayer {
            kind: ConvKind::Conv,
            kernel: [1, 1],
            in_channels: channels,
            out_channels: classes,
            activation: Activation::Identity,
            weight_type: self.weight_type,
            scheme: Scheme::Plain,
            weights: start,
            bias: biases,
        };
        let network = self.finish()?;
        Ok(PackedWeights {
            head: Some(head),
            ..network
        })
    }

    /// Finishes without a classifier.
    ///
    /// # Errors
    /// If a layer is missing.
    pub fn finish(mut self) -> Result<PackedWeights, KernelError> {
        let missing = self.coming.len();
        if missing > 0 {
            return Err(KernelError::Length {
                what: "layers",
                expected: self.layers.len() + missing,
                found: self.layers.len(),
            });
        }
        let chain = self.layers.len() - self.branches.len();
        let branches = self.layers.split_off(chain);
        Ok(PackedWeights {
            isa: self.isa,
            weight_type: self.weight_type,
            layers: self.layers,
            branches: self.branches.into_iter().zip(branches).collect(),
            head: None,
            buffer: self.buffer,
        })
    }

    fn matrix(&mut self, weight_type: WeightType, layout: PanelLayout, columns: ScaledColumns<'_>) {
        match weight_type {
            WeightType::F32 => {
                let isa = self.isa;
                let panels = layout.panels().map(|panel| (panel.len(), panel));
                self.parts(panels, |panel, to| {
                    dispatch(isa, PackPlain { columns, panel, to });
                });
            }
            #[cfg(feature = "halves")]
            WeightType::F16 => self.halves::<half::f16>(&layout, columns),
            #[cfg(feature = "halves")]
            WeightType::Bf16 => self.halves::<half::bf16>(&layout, columns),
        }
    }

    #[cfg(feature = "halves")]
    fn halves<W: Weight>(&mut self, layout: &PanelLayout, columns: ScaledColumns<'_>) {
        let values = self.take::<W>(layout.len());
        layout.pack(values, |output, k| W::from_f32(columns.at(output, k)));
    }

    fn strassen(&mut self, layout: &PanelLayout, columns: ScaledColumns<'_>) {
        let isa = self.isa;
        let pairs = layout.pairs().panels();
        let pairs = pairs.map(|pair| (strassen::PRODUCTS * pair.len() / 4, pair));
        self.parts(pairs, |pair, to| {
            dispatch(isa, PackStrassen { columns, pair, to });
        });
    }

    /// Packs panels, of which each takes so many values, one after the other in the buffer.
    fn parts(
        &mut self,
        panels: impl Iterator<Item = (usize, Panel)> + Clone,
        pack: impl Fn(Panel, &mut [f32]) + Sync,
    ) {
        let mut to = self.take::<f32>(panels.clone().map(|(len, _)| len).sum());
        let on_this_core = to.len() < WORTH_A_THREAD;
        let parts = panels.map(|(len, panel)| {
            let (part, rest) = std::mem::take(&mut to).split_at_mut(len);
            to = rest;
            (panel, part)
        });
        if on_this_core {
            parts.for_each(|(panel, part)| pack(panel, part));
        } else {
            on_all_cores(parts.collect(), |(panel, part)| pack(panel, part));
        }
    }

    /// Packs the biases of each pair's first panel, and the differences to those of the second.
    fn strassen_biases(&mut self, layout: &PanelLayout, bias: &[f32]) {
        for pair in layout.pairs().panels() {
            let (left, right) = bias[pair.first..][..pair.width].split_at(pair.width / 2);
            let values = self.take::<f32>(2 * left.len());
            let (first, difference) = values.split_at_mut(left.len());
            first.copy_from_slice(left);
            for ((to, left), right) in difference.iter_mut().zip(left).zip(right) {
                *to = right - left;
            }
        }
    }

    fn biases(&mut self, bias: &[f32]) {
        for vector in 0..bias.len().div_ceil(self.lanes) {
            self.vector(vector, bias.len(), |o| bias[o]);
        }
    }

    /// Packs one vector of output channels, with zeros beyond the last.
    fn vector(&mut self, vector: usize, outputs: usize, value: impl Fn(usize) -> f32) {
        let first = vector * self.lanes;
        let values = self.take::<f32>(self.lanes);
        for (o, to) in (first..outputs).zip(values) {
            *to = value(o);
        }
    }

    /// Takes the next `count` weights of the buffer.
    fn take<W: Weight>(&mut self, count: usize) -> &mut [W] {
        let start = self.len;
        self.len += (count * size_of::<W>()).div_ceil(VALUE);
        self.buffer.weights_mut(start, count)
    }

    /// Skips to the next cache line.
    fn align(&mut self) -> usize {
        self.len = self.len.next_multiple_of(LINE);
        self.len
    }
}

impl PackedWeights {
    /// Packs layers and a classifier as f32.
    ///
    /// # Errors
    /// As for [`Packer`].
    pub fn new(
        isa: Isa,
        layers: &[LayerWeights<'_>],
        head: Option<&HeadWeights<'_>>,
    ) -> Result<Self, KernelError> {
        Self::of_type(WeightType::F32, isa, layers, head)
    }

    /// Packs layers and a classifier. Pointwise weights and the classifier's are rounded to a type.
    /// The first layer stays f32 in any case.
    ///
    /// # Errors
    /// As for [`Packer`].
    pub fn of_type(
        weight_type: WeightType,
        isa: Isa,
        layers: &[LayerWeights<'_>],
        head: Option<&HeadWeights<'_>>,
    ) -> Result<Self, KernelError> {
        // Checked first, because the shapes decide how much memory is allocated.
        for layer in layers {
            check_length("weights", layer.weights.len(), &layer.shape.weights())?;
        }
        if let (Some(head), Some(last)) = (head, layers.last()) {
            let shape = [head.classes, last.shape.out_channels];
            check_length("weights", head.weights.len(), &shape)?;
        }
        let shapes: Vec<_> = layers.iter().map(|layer| layer.shape).collect();
        let classes = head.map(|head| head.classes);
        let mut packer = Packer::new(weight_type, isa, &shapes, classes)?;
        for layer in layers {
            packer.layer(layer.weights, layer.bias)?;
        }
        match head {
            Some(head) => packer.head(head.weights, head.bias),
            None => packer.finish(),
        }
    }
}

/// The type of a layer's weights, and how its product is computed. Weights of 16 bits keep the
/// plain scheme: Strassen's has more weights, and their sums would have to be rounded again.
fn form(
    shape: &LayerShape,
    before: Option<&LayerShape>,
    weight_type: WeightType,
    isa: Isa,
) -> (WeightType, Scheme) {
    let is_matrix = shape.kind == ConvKind::Conv && shape.geometry.kernel == [1, 1];
    let Some(before) = before.filter(|_| is_matrix) else {
        return (WeightType::F32, Scheme::Plain);
    };
    let is_separable = shape.geometry.is_pointwise() && before.kind == ConvKind::Depthwise;
    let scheme = if is_separable && weight_type == WeightType::F32 {
        let (lanes, panel) = (isa.lanes(), simd::panel_vectors(isa));
        strassen::scheme(shape.in_channels, shape.out_channels, lanes, panel)
    } else {
        Scheme::Plain
    };
    (weight_type, scheme)
}

/// Number of values that weights and biases take. Both end on a cache line.
fn room_of(
    outputs: usize,
    depth: usize,
    weight_type: WeightType,
    scheme: Scheme,
    lanes: usize,
) -> Result<usize, KernelError> {
    let blocks = match scheme {
        Scheme::Plain => 4,
        Scheme::Strassen => strassen::PRODUCTS,
    };
    let padded = outputs
        .checked_next_multiple_of(lanes)
        .ok_or(KernelError::Overflow { what: "weights" })?;
    let bytes = volume("weights", &[padded, depth, blocks, weight_type.bytes()])? / 4;
    let values = bytes.div_ceil(VALUE);
    Ok(values.saturating_add(padded).saturating_add(2 * LINE))
}

/// Packed values of a layer below which another core would come too late: about 0.1 ms.
const WORTH_A_THREAD: usize = 1 << 17;

/// f32 values in a cache line.
const LINE: usize = 16;
/// Bytes of an f32.
const VALUE: usize = size_of::<f32>();
