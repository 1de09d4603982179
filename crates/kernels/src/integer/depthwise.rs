//! Depthwise convolutions, into a map or as left operands of the product that follows.

use std::ops::Range;

use super::context::Context;
use super::map::Map;
use super::packed::{PackedDepthwise, PackedOperation};
use crate::simd::integer::depthwise;
use crate::simd::integer::row::{Row, Target, tap_pairs};
use crate::simd::integer::{IntegerKernel, IntegerSimd, Products};
use crate::simd::team::Turn;

/// A depthwise convolution.
#[derive(Debug)]
pub(super) struct Depthwise {
    /// Index of its layer.
    layer: usize,
    /// The instructions, where it writes a map.
    pub(super) products: Products,
    pub(super) input: Map,
    stride: usize,
    /// Columns of the output.
    width: usize,
    /// Offsets of the taps in a window, two by two.
    taps: Vec<[usize; 2]>,
    /// Whether windows are of 3 x 3 without dilation.
    is_square: bool,
}

impl Depthwise {
    pub(super) fn new(
        layer: usize,
        packed: &PackedDepthwise,
        input: Map,
        width: usize,
        products: Products,
    ) -> Self {
        let geometry = &packed.geometry;
        let [_, columns] = geometry.kernel;
        let offset = |tap: usize| {
            let (y, x) = (tap / columns, tap % columns);
            (y * input.row() + x * input.channels) * geometry.dilation
        };
        let pairs = tap_pairs(geometry.kernel).into_iter();
        Self {
            layer,
            products,
            input,
            stride: geometry.stride,
            width,
            taps: pairs.map(|pair| pair.map(offset)).collect(),
            is_square: geometry.kernel == [3, 3] && geometry.dilation == 1,
        }
    }

    /// Computes some pixels as left operands, `[pixels, stride]`.
    #[inline(always)]
    pub(super) fn values<S: IntegerSimd>(
        &self,
        simd: S,
        context: &Context<'_>,
        band: Range<usize>,
        values: *mut S::Value,
        stride: usize,
    ) {
        self.rows(simd, context, band, |pixel, _, _| {
            Target::Values(values.wrapping_add(pixel * stride), stride)
        });
    }

    /// Computes some pixels of a map.
    #[inline(always)]
    fn map<S: IntegerSimd>(
        &self,
        simd: S,
        context: &Context<'_>,
        band: Range<usize>,
        output: &Map,
    ) {
        self.rows(simd, context, band, |_, y, x| {
            Target::Bytes(context.pointer(output.at(y, x)), output.channels)
        });
    }

    /// Calls the kernel for each row. `target` gets the number of the first pixel in the band, its
    /// row and its column.
    #[inline(always)]
    fn rows<S: IntegerSimd>(
        &self,
        simd: S,
        context: &Context<'_>,
        band: Range<usize>,
        target: impl Fn(usize, usize, usize) -> Target<S::Value>,
    ) {
        let PackedOperation::Depthwise(packed) = &context.layers[self.layer].operation else {
            return;
        };
        let mut pixel = band.start;
        while pixel < band.end {
            let (y, x) = (pixel / self.width, pixel % self.width);
            let pixels = (self.width - x).min(band.end - pixel);
            let row = Row {
                input: context.pointer(self.input.window(y, x, self.stride)),
                step: self.stride * self.input.channels,
                pixel: self.input.channels,
                square: self.is_square.then_some(self.input.row()),
                taps: &self.taps,
                pixels,
                channels: packed.out_channels,
                weights: packed.weights.as_slice().as_ptr().cast(),
                products: packed.taps,
                quads: &packed.quads,
                start: packed.sums.start.as_ptr(),
                rounding: packed.sums.rounding(),
            };
            // SAFETY: the windows are in the map, after which a pixel and a vector more are readable;
            // the packer has laid out the weights; the pixels are this chunk's.
            unsafe { depthwise::run(simd, &row, target(pixel - band.start, y, x)) }
            pixel += pixels;
        }
    }
}

/// A chunk of the work: its pixels of a map.
pub(super) struct IntoMap<'a> {
    pub(super) depthwise: &'a Depthwise,
    pub(super) output: &'a Map,
    pub(super) context: &'a Context<'a>,
    pub(super) turn: Turn,
}

impl IntegerKernel for IntoMap<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: IntegerSimd>(self, simd: S) {
        let map = self.output;
        self.context.write_border(map, self.turn);
        let pixels = self.turn.share(map.height * map.width);
        self.depthwise.map(simd, self.context, pixels, map);
    }
}
