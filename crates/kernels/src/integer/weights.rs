//! The weights of one output channel, as numbers without their zero point.

use super::network::{Integers, QuantizedConvolution};
use crate::network::ConvKind;

/// Some of an output channel's weights, from `start` on, without their zero point. All of them are
/// `[rows, columns, in]`.
#[inline(always)]
pub(super) fn weights_of(
    convolution: &QuantizedConvolution,
    channel: usize,
    start: usize,
    to: &mut [i32],
) {
    let weights = &convolution.weights;
    let zero_point = weights.zero_point(channel);
    let (first, step) = match convolution.kind {
        ConvKind::Conv => (channel * each(convolution) + start, 1),
        ConvKind::Depthwise => (
            start * convolution.out_channels + channel,
            convolution.out_channels,
        ),
    };
    match &weights.values {
        Integers::U8(values) => without(&values[first..], step, zero_point, to),
        Integers::I8(values) => without(&values[first..], step, zero_point, to),
    }
}

#[inline(always)]
fn without<T: Copy + Into<i32>>(values: &[T], step: usize, zero_point: i32, to: &mut [i32]) {
    if step == 1 {
        for (to, &value) in to.iter_mut().zip(values) {
            *to = value.into() - zero_point;
        }
    } else {
        for (to, &value) in to.iter_mut().zip(values.iter().step_by(step)) {
            *to = value.into() - zero_point;
        }
    }
}

/// Weights of an output channel.
pub(super) fn each(convolution: &QuantizedConvolution) -> usize {
    convolution.weights.values.len() / convolution.out_channels
}
