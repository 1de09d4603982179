//! Channels that are the same integer in every image, of which trained networks have many: where
//! weight decay has left weights of almost 0, no image moves the output by half a step. They are left
//! out, and the bits of the network's outputs stay.
//!
//! ```text
//! convolution ------> depthwise or pool -----> pointwise
//! always the same:    then always the same:    adds what that contributes
//! left out            left out                 to its bias instead
//! ```
//!
//! Before a depthwise layer the constant must be the zero point, which is what its windows read beyond
//! the map, too.

use super::network::{
    Arithmetic, IntegerLayer, IntegerNetwork, IntegerOperation, Integers, QuantizedConvolution,
    QuantizedWeights, ValueKind,
};
use super::rounding::{Bounds, ByteScale, Factors};
use super::weights::{each, weights_of};
use crate::network::ConvKind;

/// Which channels of a layer's output are computed, and what the others are.
#[derive(Debug)]
pub(super) struct Computed {
    /// Those that are computed, in order.
    channels: Vec<usize>,
    /// The bytes of a pixel. Those of computed channels mean nothing.
    pixel: Vec<u8>,
}

impl Computed {
    fn new(kept: &[bool], pixel: Vec<u8>) -> Self {
        let channels = (0..kept.len()).filter(|&channel| kept[channel]);
        Self {
            channels: channels.collect(),
            pixel,
        }
    }

    /// Number of computed channels.
    pub(super) fn count(&self) -> usize {
        self.channels.len()
    }

    /// Number of all channels.
    pub(super) fn all(&self) -> usize {
        self.pixel.len()
    }

    /// Number of channels that are constants.
    pub(super) fn left_out(&self) -> usize {
        self.all() - self.count()
    }

    /// A pixel with all channels, from its computed ones.
    pub(super) fn restore(&self, computed: &[u8], to: &mut [u8]) {
        to.copy_from_slice(&self.pixel);
        for (&channel, &byte) in self.channels.iter().zip(computed) {
            to[channel] = byte;
        }
    }
}

/// Leaves out the channels of a checked network that are the same in every image. Returns what is
/// left of each layer's output.
pub(super) fn leave_out_constants(
    network: &mut IntegerNetwork,
    arithmetic: Arithmetic,
) -> Vec<Option<Computed>> {
    let mut computed: Vec<_> = network.layers.iter().map(|_| None).collect();
    let mut input = network.input;
    for index in 0..network.layers.len() {
        let layers = network.layers.get_mut(index..index + 3);
        let found = layers.and_then(|layers| leave_out(layers, input, arithmetic));
        if let Some([convolution, depthwise]) = found {
            computed[index] = Some(convolution);
            computed[index + 1] = Some(depthwise);
        }
        input = network.layers[index].output;
    }
    computed
}

/// Leaves out channels of three layers, if they are such as the head of this file shows. `None` if
/// nothing was changed.
fn leave_out(
    layers: &mut [IntegerLayer],
    input: ValueKind,
    arithmetic: Arithmetic,
) -> Option<[Computed; 2]> {
    let [convolution, middle, pointwise] = layers else {
        return None;
    };
    let first = Requantized::new(convolution, input, arithmetic)?;
    let second = Requantized::new(middle, convolution.output, arithmetic);
    let ValueKind::Quantized(between) = middle.output else {
        return None;
    };
    let (IntegerOperation::Convolution(convolution), IntegerOperation::Convolution(pointwise)) =
        (&mut convolution.operation, &mut pointwise.operation)
    else {
        return None;
    };
    let channels = convolution.out_channels;
    if [convolution.kind, pointwise.kind] != [ConvKind::Conv; 2]
        || !pointwise.geometry.is_pointwise()
    {
        return None;
    }
    let constants = (0..channels).map(|channel| first.constant(convolution, channel));
    let constants: Vec<Option<u8>> = constants.collect();
    // What the layer in the middle makes of them.
    let after: Vec<Option<u8>> = match (&middle.operation, &second) {
        (IntegerOperation::AveragePool(_), _) => constants.clone(),
        (IntegerOperation::Convolution(depthwise), Some(second))
            if depthwise.kind == ConvKind::Depthwise && depthwise.out_channels == channels =>
        {
            let zero = first.bounds.zero_point as u8;
            let biases = constants.iter().zip(&depthwise.bias).enumerate();
            let after = biases.map(|(channel, (&constant, &bias))| {
                (constant? == zero).then(|| second.factors.byte(channel, bias, second.bounds))
            });
            after.collect()
        }
        _ => return None,
    };
    let mut kept: Vec<bool> = after.iter().map(Option::is_none).collect();
    if let (false, Some(first)) = (kept.contains(&true), kept.first_mut()) {
        // No kernel computes a map without channels.
        *first = true;
    }
    if !kept.contains(&false) {
        return None;
    }
    let pixel = |bytes: Vec<Option<u8>>| -> Vec<u8> {
        bytes.into_iter().map(Option::unwrap_or_default).collect()
    };
    let (before, after) = (pixel(constants), pixel(after));
    let zero_point = ByteScale::from(between).zero_point;
    pointwise.bias = biases(pointwise, &kept, &after, zero_point)?;

    let taps = each(convolution);
    keep(convolution, &kept, |index| index / taps);
    if let IntegerOperation::Convolution(depthwise) = &mut middle.operation {
        keep(depthwise, &kept, |index| index % channels);
    }
    retain_integers(&mut pointwise.weights.values, |index| {
        kept[index % channels]
    });
    Some([Computed::new(&kept, before), Computed::new(&kept, after)])
}

/// The biases of a pointwise convolution with what the channels that are left out contribute.
/// `None` if they do not fit.
fn biases(
    pointwise: &QuantizedConvolution,
    kept: &[bool],
    pixel: &[u8],
    zero_point: i32,
) -> Option<Vec<i32>> {
    let mut weights = vec![0; kept.len()];
    let biases = pointwise.bias.iter().enumerate().map(|(channel, &bias)| {
        weights_of(pointwise, channel, 0, &mut weights);
        let constants = weights.iter().zip(pixel).zip(kept);
        let constants = constants.filter(|(_, kept)| !**kept);
        let sum = constants.map(|((&weight, &byte), _)| {
            i64::from(weight) * i64::from(i32::from(byte) - zero_point)
        });
        i32::try_from(i64::from(bias) + sum.sum::<i64>()).ok()
    });
    biases.collect()
}

/// Weights after which it is seen whether a channel varies. Nearly all do after the first.
const BLOCK: usize = 32;

/// How the sums of a convolution become bytes.
struct Requantized {
    input_zero_point: i32,
    factors: Factors,
    bounds: Bounds,
}

impl Requantized {
    fn new(layer: &IntegerLayer, input: ValueKind, arithmetic: Arithmetic) -> Option<Self> {
        let (
            IntegerOperation::Convolution(convolution),
            ValueKind::Quantized(input),
            ValueKind::Quantized(output),
        ) = (&layer.operation, input, layer.output)
        else {
            return None;
        };
        Some(Self {
            input_zero_point: ByteScale::from(input).zero_point,
            factors: Factors::new(convolution, input, output, arithmetic)?,
            bounds: Bounds::of_activation(output.into(), convolution.activation),
        })
    }

    /// The byte that an output channel always is, if it is.
    fn constant(&self, convolution: &QuantizedConvolution, channel: usize) -> Option<u8> {
        // Rounding is monotonic, so if the ends become the same byte, all sums in between do.
        let byte = |sum| {
            let sum = i32::try_from(sum).ok()?;
            Some(self.factors.byte(channel, sum, self.bounds))
        };
        let bias = i64::from(*convolution.bias.get(channel)?);
        let (mut least, mut most) = (bias, bias);
        let each = each(convolution);
        let mut block = [0; BLOCK];
        for start in (0..each).step_by(BLOCK) {
            let weights = &mut block[..BLOCK.min(each - start)];
            weights_of(convolution, channel, start, weights);
            for &mut weight in weights {
                let end = |byte: i32| i64::from(weight * (byte - self.input_zero_point));
                least += end(0).min(end(255));
                most += end(0).max(end(255));
            }
            // More weights only move the ends apart.
            if byte(least)? != byte(most)? {
                return None;
            }
        }
        byte(least)
    }
}

/// Keeps some output channels. `channel` is that of a weight's index.
fn keep(convolution: &mut QuantizedConvolution, kept: &[bool], channel: impl Fn(usize) -> usize) {
    let QuantizedWeights {
        values,
        scales,
        zero_points,
    } = &mut convolution.weights;
    retain_integers(values, |index| kept[channel(index)]);
    if scales.len() == kept.len() {
        retain(scales, |channel| kept[channel]);
    }
    if zero_points.len() == kept.len() {
        retain(zero_points, |channel| kept[channel]);
    }
    retain(&mut convolution.bias, |channel| kept[channel]);
    convolution.out_channels = convolution.bias.len();
}

fn retain_integers(values: &mut Integers, keep: impl Fn(usize) -> bool) {
    match values {
        Integers::U8(values) => retain(values, keep),
        Integers::I8(values) => retain(values, keep),
    }
}

fn retain<T>(values: &mut Vec<T>, keep: impl Fn(usize) -> bool) {
    let mut index = 0;
    values.retain(|_| {
        index += 1;
        keep(index - 1)
    });
}
