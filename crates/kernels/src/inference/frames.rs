//! 8-bit frames. Their normalisation is folded into the first convolution, so that a byte is only
//! converted to f32.
//!
//! ```text
//! normalised = byte * scale + shift
//! w' = w * scale,  b' = b + sum of w * shift       over the whole window
//! ```
//!
//! The layer's padding is zero after normalisation, but the window reads values before it. So the
//! padding beside the map is the value that normalises to 0, `-shift / scale`. It is usually a
//! fraction, which the map of f32 can hold.

use super::packed::{PackedLayer, PackedWeights};
use crate::error::{KernelError, check_length};
use crate::network::ConvKind;
use crate::panels::PanelLayout;
use crate::simd::{AlignedBuffer, WeightType, panel_vectors};

/// Turns 8-bit values into a network's input: `value * scale + shift`, channel by channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    /// One factor per channel.
    pub scale: Vec<f32>,
    /// One summand per channel.
    pub shift: Vec<f32>,
}

/// The first convolution for bytes.
#[derive(Debug)]
pub(super) struct Frames {
    /// Weights and biases, packed like the layer's own.
    stem: AlignedBuffer,
    /// Offset of the biases.
    bias: usize,
    /// A row of padding.
    padding: AlignedBuffer,
}

impl Frames {
    /// For an input map whose rows have `row` values, zeros included.
    pub(super) fn new(
        network: &PackedWeights,
        row: usize,
        normalization: &Normalization,
    ) -> Result<Self, KernelError> {
        let Some(layer) = network.layers.first() else {
            return Err(KernelError::Zero { what: "layers" });
        };
        if layer.kind != ConvKind::Conv || layer.weight_type != WeightType::F32 {
            return Err(KernelError::Frames {
                problem: "the first layer is no full convolution",
            });
        }
        let Normalization { scale, shift } = normalization;
        check_length("scale", scale.len(), &[layer.in_channels])?;
        check_length("shift", shift.len(), &[layer.in_channels])?;
        if scale.contains(&0.0) {
            return Err(KernelError::Zero { what: "scale" });
        }
        let mut padding = AlignedBuffer::zeros(row);
        let nothing = scale.iter().zip(shift).map(|(scale, shift)| -shift / scale);
        for (to, value) in padding.as_mut_slice().iter_mut().zip(nothing.cycle()) {
            *to = value;
        }
        Ok(Self {
            stem: fold(network, layer, normalization),
            bias: layer.bias - layer.weights,
            padding,
        })
    }

    pub(super) fn weights(&self) -> *const f32 {
        self.stem.as_slice().as_ptr()
    }

    pub(super) fn bias(&self) -> *const f32 {
        self.weights().wrapping_add(self.bias)
    }

    /// A row of padding, as long as a row of the input map.
    pub(super) fn padding(&self) -> &[f32] {
        self.padding.as_slice()
    }
}

/// The packed layer with the normalisation folded in.
fn fold(
    network: &PackedWeights,
    layer: &PackedLayer,
    Normalization { scale, shift }: &Normalization,
) -> AlignedBuffer {
    let depth = layer.kernel[0] * layer.kernel[1] * layer.in_channels;
    let isa = network.isa();
    let layout = PanelLayout::new(layer.out_channels, depth, isa.lanes(), panel_vectors(isa));
    let len = layout.len() + layout.width();
    let mut stem = AlignedBuffer::zeros(len);
    let values = stem.as_mut_slice();
    values.copy_from_slice(&network.buffer.as_slice()[layer.weights..][..len]);
    let (weights, biases) = values.split_at_mut(layout.len());
    layout.fold(weights, biases, |k| {
        let channel = k % layer.in_channels;
        (f64::from(scale[channel]), f64::from(shift[channel]))
    });
    stem
}
