//! Brings the weights of depthwise convolutions into the order in which kernels read them.

use super::network::QuantizedConvolution;
use super::pack_matrix::{room_for, weights_in};
use super::packed::{PackedDepthwise, PackedSums};
use super::rounding::Factors;
use super::weights::{each, weights_of};
use crate::simd::integer::row::{Quad, TapProducts, has_columns, tap_pairs};
use crate::simd::{AlignedBuffer, IntegerIsa};

/// The channel of each sum, and how vectors of them share the windows' weights.
struct Order {
    channels: Vec<usize>,
    lanes: usize,
    /// Vectors whose weights of a tap are neighbours.
    vectors: usize,
}

impl PackedDepthwise {
    /// Packs a convolution of `in_channels` channels. `sums` are in the order of channels.
    pub(super) fn new(
        convolution: &QuantizedConvolution,
        in_channels: usize,
        mut sums: PackedSums,
        isa: IntegerIsa,
    ) -> Self {
        let (lanes, channels) = (isa.lanes(), convolution.out_channels);
        let mut quads = Vec::new();
        if isa.has_quads() && has_columns(&convolution.geometry) {
            quads = Quad::all(channels, lanes);
        }
        let mut order = Order {
            channels: (0..channels).collect(),
            lanes,
            vectors: 1,
        };
        match &mut sums.factors {
            Factors::F32(factors) if !quads.is_empty() => {
                let all = quads.iter().flat_map(|quad| quad.channels(lanes));
                order.channels = all.collect();
                // Kernels compute two of the four vectors after the others.
                order.vectors = 2;
                *factors = order.apply(factors);
                sums.start = order.apply(&sums.start);
            }
            // Only roundings in vectors are computed by quads.
            _ => quads.clear(),
        }
        let (taps, weights) = match pack_columns(convolution, &order, isa) {
            Some(columns) => (TapProducts::Columns, columns),
            None => (TapProducts::Pairs, pack_pairs(convolution, &order)),
        };
        Self {
            geometry: convolution.geometry,
            in_channels,
            out_channels: channels,
            taps,
            quads,
            weights,
            sums,
        }
    }
}

impl Order {
    fn apply<T: Copy>(&self, values: &[T]) -> Vec<T> {
        let channels = self.channels.iter();
        channels.map(|&channel| values[channel]).collect()
    }

    /// Number of weights of `taps` taps, `depth` at a time, for whole vectors.
    fn weights(&self, taps: usize, depth: usize) -> usize {
        let sums = self
            .channels
            .len()
            .next_multiple_of(self.vectors * self.lanes);
        sums * taps * depth
    }

    /// Calls `put` with the weights of each sum, and where the first of them is.
    fn each(
        &self,
        convolution: &QuantizedConvolution,
        [taps, depth]: [usize; 2],
        mut put: impl FnMut(&[i32], &dyn Fn(usize) -> usize) -> Option<()>,
    ) -> Option<()> {
        let mut weights = vec![0; each(convolution)];
        for (sum, &channel) in self.channels.iter().enumerate() {
            weights_of(convolution, channel, 0, &mut weights);
            let (vector, lane) = (sum / self.lanes, sum % self.lanes);
            let at = |tap: usize| {
                let tap = vector / self.vectors * taps + tap;
                let vector = tap * self.vectors + vector % self.vectors;
                (vector * self.lanes + lane) * depth
            };
            put(&weights, &at)?;
        }
        Some(())
    }
}

/// The columns of a window as bytes, `[vectors, columns, lanes, 4]`, if they can be steps of bytes.
fn pack_columns(
    convolution: &QuantizedConvolution,
    order: &Order,
    isa: IntegerIsa,
) -> Option<AlignedBuffer> {
    if !isa.takes_columns() || !has_columns(&convolution.geometry) {
        return None;
    }
    let mut buffer = AlignedBuffer::zeros(room_for::<i8>(order.weights(3, 4)));
    let packed: &mut [i8] = weights_in(&mut buffer);
    order.each(convolution, [3, 4], |weights, at| {
        for (tap, &weight) in weights.iter().enumerate() {
            packed[at(tap % 3) + tap / 3] = weight.try_into().ok()?;
        }
        Some(())
    })?;
    Some(buffer)
}

/// The pairs of taps of a window, `[vectors, pairs, lanes, 2]`.
fn pack_pairs(convolution: &QuantizedConvolution, order: &Order) -> AlignedBuffer {
    let pairs = tap_pairs(convolution.geometry.kernel);
    let mut buffer = AlignedBuffer::zeros(room_for::<i16>(order.weights(pairs.len(), 2)));
    let packed: &mut [i16] = weights_in(&mut buffer);
    order.each(convolution, [pairs.len(), 2], |weights, at| {
        for (index, &[first, second]) in pairs.iter().enumerate() {
            packed[at(index)] = weights[first] as i16;
            if second != first {
                packed[at(index) + 1] = weights[second] as i16;
            }
        }
        Some(())
    });
    buffer
}
