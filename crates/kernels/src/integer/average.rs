//! Averages of maps.

use std::ops::Range;

use super::context::Context;
use super::map::Map;
use super::rounding::{Bounds, MeanFactor};
use crate::geometry::{Axis, ConvSize};
use crate::simd::integer::{IntegerKernel, IntegerSimd, dispatch};
use crate::simd::team::Turn;

/// Channels summed at a time.
const CHANNELS: usize = 64;

/// Sums the bytes of a window, channel by channel, and calls `done` with the first channel and up
/// to [`CHANNELS`] sums.
fn sum_window(
    context: &Context<'_>,
    input: &Map,
    window: [Range<usize>; 2],
    channels: Range<usize>,
    mut done: impl FnMut(usize, &[i32]),
) {
    for first in channels.clone().step_by(CHANNELS) {
        let mut sums = [0; CHANNELS];
        let sums = &mut sums[..(channels.end - first).min(CHANNELS)];
        let sum = Sum {
            context,
            input,
            window: &window,
            first,
            sums,
        };
        dispatch(context.products, sum);
        done(first, sums);
    }
}

/// Sums of some channels. The compiler turns the loops into vectors of the instruction set.
struct Sum<'a> {
    context: &'a Context<'a>,
    input: &'a Map,
    window: &'a [Range<usize>; 2],
    first: usize,
    sums: &'a mut [i32],
}

impl IntegerKernel for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: IntegerSimd>(self, _: S) {
        let [rows, columns] = self.window;
        for y in rows.clone() {
            for x in columns.clone() {
                let at = self.input.at(y, x) + self.first;
                // SAFETY: the pixel is in the map, which nobody writes now.
                let bytes = unsafe { self.context.bytes(at, self.sums.len()) };
                for (sum, &byte) in self.sums.iter_mut().zip(bytes) {
                    *sum += i32::from(byte);
                }
            }
        }
    }
}

/// Writes bytes of one pixel's channels.
fn write(
    context: &Context<'_>,
    map: &Map,
    [y, x]: [usize; 2],
    first: usize,
    bytes: impl ExactSizeIterator<Item = u8>,
) {
    // SAFETY: the channels are in the map, and they are this chunk's.
    let to = unsafe { context.bytes_mut(map.at(y, x) + first, bytes.len()) };
    for (to, byte) in to.iter_mut().zip(bytes) {
        *to = byte;
    }
}

/// The mean of those taps that are inside the map, rounded as C's division does after half of the
/// divisor is added; a sum of signed integers that is not positive, after it is subtracted.
pub(super) fn pool(context: &Context<'_>, input: &Map, size: &ConvSize, output: &Map, turn: Turn) {
    context.write_border(output, turn);
    let offset = input.scale.offset;
    let range = |axis: &Axis, o: usize| {
        let taps = axis.taps(o);
        match taps.is_empty() {
            true => 0..0,
            false => axis.under(o, taps.start)..axis.under(o, taps.end - 1) + 1,
        }
    };
    for y in 0..output.height {
        for x in 0..output.width {
            let window = [range(&size.rows, y), range(&size.columns, x)];
            let count = (window[0].len() * window[1].len()).max(1) as i32;
            let channels = turn.share(output.channels);
            sum_window(context, input, window, channels, |first, sums| {
                let bytes = sums.iter().map(|sum| {
                    let sum = sum - count * offset;
                    let half = if sum > 0 || offset == 0 {
                        count / 2
                    } else {
                        -(count / 2)
                    };
                    ((sum + half) / count + offset).clamp(0, 255) as u8
                });
                write(context, output, [y, x], first, bytes);
            });
        }
    }
}

/// The mean of a whole map.
pub(super) fn mean(
    context: &Context<'_>,
    input: &Map,
    factor: MeanFactor,
    output: &Map,
    turn: Turn,
) {
    context.write_border(output, turn);
    let count = (input.height * input.width) as i32;
    let bounds = Bounds::of(output.scale);
    let window = [0..input.height, 0..input.width];
    let channels = turn.share(output.channels);
    sum_window(context, input, window, channels, |first, sums| {
        let bytes = sums.iter().map(|sum| {
            let steps = sum - count * input.scale.zero_point;
            factor.byte(steps, bounds)
        });
        write(context, output, [0, 0], first, bytes);
    });
}
