//! 8-bit frames: their normalisation folded into the first convolution, so that a byte becomes an
//! f32 and nothing else is done to it.
//!
//! ```text
//! normalised = byte * scale + shift
//! w' = w * scale,  b' = b + sum of w * shift       over the whole window
//! ```
//!
//! The layer's padding is zero after normalisation. Its window sees bytes, so what stands beside
//! the map is not 0 but the value that becomes 0: `-shift / scale`, a fraction as a rule, of which
//! the map of f32 is capable.

use super::build::Plan;
use super::packed::{LayerKind, PackedLayer, PackedNetwork};
use crate::error::{KernelError, check_length};
use crate::simd::{AlignedBuffer, WeightType, panel_vectors};

/// What makes a network's input of 8-bit values: `value * scale + shift`, channel by channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    /// One factor a channel.
    pub scale: Vec<f32>,
    /// One summand a channel.
    pub shift: Vec<f32>,
}

/// The first convolution for bytes.
#[derive(Debug)]
pub(super) struct Frames {
    /// Weights and biases, packed as the layer's own.
    stem: AlignedBuffer,
    /// Place of the biases.
    bias: usize,
    /// A row of padding.
    padding: AlignedBuffer,
}

impl Frames {
    pub(super) fn new(
        network: &PackedNetwork,
        plan: &Plan,
        normalization: &Normalization,
    ) -> Result<Self, KernelError> {
        let Some(layer) = network.layers.first() else {
            return Err(KernelError::Zero { what: "layers" });
        };
        if layer.kind != LayerKind::Conv || layer.weight_type != WeightType::F32 {
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
        let mut padding = AlignedBuffer::zeros(plan.input.row());
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

/// The packed layer with the normalisation in it. Sums are f64: the shift of all taps together is
/// larger than what it leaves.
fn fold(
    network: &PackedNetwork,
    layer: &PackedLayer,
    Normalization { scale, shift }: &Normalization,
) -> AlignedBuffer {
    let lanes = network.isa().lanes();
    let padded = layer.out_channels.next_multiple_of(lanes);
    let depth = layer.kernel[0] * layer.kernel[1] * layer.in_channels;
    let mut stem = AlignedBuffer::zeros(padded * (depth + 1));
    let packed = &network.buffer.as_slice()[layer.weights..][..padded * (depth + 1)];
    let (weights, bias) = packed.split_at(padded * depth);
    let (to_weights, to_bias) = stem.as_mut_slice().split_at_mut(padded * depth);
    // `[panels][depth][channels of the panel]`; the last panel may be narrower.
    let widest = panel_vectors(network.isa()) * lanes;
    for first in (0..padded).step_by(widest) {
        let width = widest.min(padded - first);
        let mut sums: Vec<f64> = bias[first..][..width]
            .iter()
            .copied()
            .map(f64::from)
            .collect();
        let panel = first * depth..(first + width) * depth;
        let rows = weights[panel.clone()].chunks_exact(width);
        for (k, (from, to)) in rows
            .zip(to_weights[panel].chunks_exact_mut(width))
            .enumerate()
        {
            let channel = k % layer.in_channels;
            let (scale, shift) = (f64::from(scale[channel]), f64::from(shift[channel]));
            for ((&weight, to), sum) in from.iter().zip(to).zip(&mut sums) {
                *to = (f64::from(weight) * scale) as f32;
                *sum += f64::from(weight) * shift;
            }
        }
        for (to, sum) in to_bias[first..].iter_mut().zip(sums) {
            *to = sum as f32;
        }
    }
    stem
}
