//! Pointwise convolution in training, and full convolution as a product of patches. Each thread
//! computes its blocks of pixels.
//!
//! `a` is the layer's input and `z` its output before normalisation. `da`, `dz` and `dw` are the
//! gradients of `a`, `z` and the weights `w`. With rounded weights, the outputs `o` are those of `y`
//! and then those of `z`: one product with twice the columns, or `y` in bytes and then `z`. Weights get
//! one gradient through both; where rounding lets none through, that of `y` is computed, too. Where the
//! statistics of `z` come from [`Covariance`], the outputs are those of `y` alone.
//!
//! ```text
//! forward   z[p, o]  = sum over k of a[p, k] * w[o, k]
//! backward  da[p, k] = sum over o of dz[p, o] * w[o, k]
//!           dw[o, k] = sum over p of dz[p, o] * a[p, k]
//! ```
//!
//! Where a window has several taps, `a[p, k]` is a patch, and [`InputGradient`] computes `da`.

mod gradient;

use std::ops::Range;

use crate::geometry::ConvSize;
use crate::layer::matrix::{LARGEST_BLOCK, Product, UNBOUNDED};
use crate::layer::rows::{Patches, Rows, Target};
use crate::layer::{SCRATCH, gap};
use crate::panels::PanelLayout;
use crate::partition::{part, parts};
use crate::simd::Simd;
use crate::training::byte_product::ByteProduct;
use crate::training::byte_weights::PlannedBytes;
use crate::training::context::PassContext;
use crate::training::covariance::Covariance;
use crate::training::input_gradient::InputGradient;
use crate::training::layer_weights::LayerWeights;
use crate::training::network::{TrainingLayer, TrainingOptions};
use crate::training::offsets::{Offsets, Vectors, splits_panels};
use crate::training::packing;
use crate::training::patches::{MapPatches, Side};
use crate::training::planned_covariance::PlannedCovariance;
use crate::training::planned_layer::PlannedLayer;
use crate::training::source::LayerActivation;
use crate::training::statistics::Partial;

/// A layer that is a matrix product.
#[derive(Debug)]
pub(in crate::training) struct MatrixLayer {
    taps: usize,
    /// Values of a patch for each tap: the input channels, in whole vectors where the input is the
    /// map of another layer.
    tap: usize,
    /// Values of a patch; and the same in whole vectors.
    depth: usize,
    depth_width: usize,
    /// Output channels in whole vectors, and the number of branches that have as many.
    width: usize,
    branches: usize,
    lanes: usize,
    /// Packed weights, with a column per output channel; and transposed, with a column per value of
    /// a patch.
    layout: PanelLayout,
    transposed_layout: PanelLayout,
    /// Layout of the sums of the weight gradient.
    sums: PanelLayout,
    /// Number of blocks of pixels, and number of pixels of the largest.
    blocks: usize,
    block: usize,
    /// Of a full convolution after the first layer.
    input_gradient: Option<InputGradient>,
    /// The product in integers, which needs no packed weights.
    bytes: Option<PlannedBytes>,
    /// Whether threads divide the weight gradient by panels of output channels.
    pub(in crate::training) splits_panels: bool,
}

impl MatrixLayer {
    #[expect(clippy::too_many_arguments, reason = "one value each")]
    pub(in crate::training) fn new(
        layer: &TrainingLayer,
        before: Option<&PlannedLayer>,
        branches: usize,
        covariance: Option<&PlannedCovariance>,
        size: &ConvSize,
        vectors: Vectors,
        options: &TrainingOptions,
        offsets: &mut Offsets,
    ) -> Self {
        let taps = layer.geometry.kernel.iter().product();
        // A pointwise layer reads the map as it is.
        let of_map = before.filter(|_| taps > 1);
        let tap = of_map.map_or(layer.in_channels, |before| before.width);
        let depth = tap * taps;
        let (depth_width, width) = (vectors.width(depth), vectors.width(layer.out_channels));
        let pixels = size.output_rows() * size.columns.output;
        let columns = (branches - 1) * width + layer.out_channels;
        let all = branches * width;
        let largest = (SCRATCH / (depth_width + all)).clamp(14, LARGEST_BLOCK);
        let blocks = parts(pixels, largest, options.threads);
        let learns_statistics = covariance.is_some() || branches > 1;
        let may = taps == 1 && before.is_some_and(|before| before.rounded.is_some());
        let bytes = match learns_statistics && may {
            true => PlannedBytes::new(depth, layer.out_channels, vectors, offsets),
            false => None,
        };
        // With a covariance or bytes, whole vectors of a patch are multiplied, and with bytes `y` needs
        // no other weights.
        let (in_floats, rows) = match &bytes {
            Some(_) => (layer.out_channels, depth_width),
            None => (columns, covariance.map_or(depth, |_| depth_width)),
        };
        let layout = vectors.panels(in_floats, rows);
        let sums = vectors.panels(columns, depth_width);
        let through_covariance = covariance.map_or(0, |_| depth_width);
        let transposed_layout = vectors.panels(depth, all + through_covariance);
        Self {
            taps,
            tap,
            depth,
            depth_width,
            width,
            branches,
            lanes: vectors.lanes,
            layout,
            transposed_layout,
            sums,
            blocks,
            block: pixels.div_ceil(blocks),
            input_gradient: of_map
                .map(|before| InputGradient::new(layer, before, vectors, options)),
            splits_panels: splits_panels(&sums, options.threads),
            bytes,
        }
    }

    /// Values of scratch per thread.
    pub(in crate::training) fn scratch(&self) -> usize {
        let forward = self.depth_width + gap(self.depth_width);
        let backward = self.depth_width + self.branches * self.width;
        let of_input = self.input_gradient.as_ref().map_or(0, |of| of.scratch());
        let in_bytes = match &self.bytes {
            Some(bytes) => self.block * self.depth_width + bytes.scratch(self.block),
            None => 0,
        };
        let in_floats = self.block * forward.max(backward);
        let packing = packing::scratch(self.lanes, self.depth);
        in_floats.max(of_input).max(in_bytes).max(packing) + 64
    }

    /// Values of packed weights.
    pub(in crate::training) fn packed(&self) -> usize {
        let of_input = self.input_gradient.as_ref();
        let backward = of_input.map_or(self.transposed_layout, |of_input| of_input.layout);
        self.layout.len().max(backward.len())
    }

    /// Values in the sums of the weight gradient.
    pub(in crate::training) fn weight_sums(&self) -> usize {
        self.sums.len()
    }

    /// Number of value `k` of a patch among the weights of an output channel; `None` for padding.
    #[inline(always)]
    fn weight(&self, layer: &TrainingLayer, k: usize) -> Option<usize> {
        if self.taps == 1 {
            return (k < self.depth).then_some(k);
        }
        let (tap, input) = (k / self.tap, k % self.tap);
        let exists = tap < self.taps && input < layer.in_channels;
        exists.then_some(input * self.taps + tap)
    }

    /// The reverse of [`Self::weight`].
    fn value(&self, weight: usize) -> usize {
        if self.taps == 1 {
            return weight;
        }
        let (input, tap) = (weight / self.taps, weight % self.taps);
        tap * self.tap + input
    }

    /// Packs the thread's share of the weights.
    #[inline(always)]
    pub(in crate::training) fn pack<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        thread: usize,
    ) {
        let sources = [
            LayerWeights::of(context, layer),
            LayerWeights::plain(context, layer),
        ];
        if self.taps > 1 {
            let sources =
                sources.map(|weights| weights.of_channels(simd, 0..layer.spec.out_channels));
            let weight = |column: usize, k| {
                let branch = usize::from(column >= self.width);
                let channel = column - branch * self.width;
                match self.weight(&layer.spec, k) {
                    Some(weight) if channel < layer.spec.out_channels => {
                        sources[branch][channel * layer.spec.depth() + weight]
                    }
                    _ => 0.0,
                }
            };
            context.pack(&self.layout, weight, thread);
            if let Some(covariance) = Covariance::of(context, layer) {
                covariance.order_weights(|k| self.weight(&layer.spec, k), thread);
            }
            return;
        }
        let in_bytes = usize::from(self.bytes.is_some());
        let values = (self.branches - in_bytes) * layer.spec.out_channels * self.depth;
        context.clear_packed(&self.layout, values, thread);
        for (branch, weights) in sources.into_iter().take(self.branches).enumerate() {
            let first = branch * self.width;
            match &self.bytes {
                Some(bytes) if branch == 0 => bytes.pack(context, layer, thread),
                Some(_) => {
                    context.pack_columns(simd, &self.layout, 0, &weights, thread);
                }
                None => {
                    context.pack_columns(simd, &self.layout, first, &weights, thread);
                }
            }
        }
    }

    /// Packs the thread's share of the weights for the gradient of the input.
    #[inline(always)]
    pub(in crate::training) fn pack_transposed<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        thread: usize,
    ) {
        if let Some(of_input) = &self.input_gradient {
            return of_input.pack(simd, context, layer, thread);
        }
        let layout = &self.transposed_layout;
        let through_covariance = layout.depth() - self.branches * self.width;
        let rows = self.branches * layer.spec.out_channels + through_covariance;
        context.clear_packed(layout, rows * self.depth, thread);
        let sources = [
            LayerWeights::of(context, layer),
            LayerWeights::plain(context, layer),
        ];
        for (branch, weights) in sources.into_iter().take(self.branches).enumerate() {
            context.pack_rows(simd, layout, branch * self.width, &weights, thread);
        }
    }

    fn block(&self, layer: &PlannedLayer, index: usize) -> Range<usize> {
        part(layer.pixels, index, self.blocks)
    }

    /// Loads rows of the matrix: activations of the layer before, or patches of the images.
    ///
    /// # Safety
    /// The target must have room for them and be this thread's.
    #[inline(always)]
    unsafe fn load<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        before: Option<&PlannedLayer>,
        pixels: Range<usize>,
        target: Target,
    ) {
        let vectors = 0..self.depth_width / S::LANES;
        // SAFETY: the caller guarantees the target.
        unsafe {
            match before {
                Some(before) => {
                    let map = LayerActivation {
                        context,
                        layer: before,
                    };
                    if self.taps == 1 {
                        return map.load(simd, pixels, vectors, target);
                    }
                    let patches = MapPatches {
                        map,
                        vectors: before.vectors,
                        size: &layer.size,
                        side: Side::Output,
                    };
                    patches.load(simd, pixels, vectors, target);
                }
                None => {
                    let patches = Patches {
                        images: context.images,
                        channels: layer.spec.in_channels,
                        size: &layer.size,
                    };
                    patches.load(simd, pixels, vectors, target);
                }
            }
        }
    }

    /// The product that writes some pixels of the map, for an input in segments of some length, and
    /// with some distance from a pixel to the next.
    #[inline(always)]
    fn product<'a>(
        &self,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        pixels: &Range<usize>,
        input: &'a [*const f32],
        [length, stride]: [usize; 2],
    ) -> Product<'a> {
        Product {
            input,
            length,
            stride,
            layout: self.layout,
            panels: 0..self.layout.count(),
            weights: context.packed(),
            next: None,
            bias: None,
            bounds: UNBOUNDED,
            output: context.pointer(layer.output(pixels.start)),
            output_stride: layer.pixel,
        }
    }

    /// Computes the thread's blocks of `z`, and their statistics.
    #[inline(always)]
    pub(in crate::training) fn forward<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        before: Option<&PlannedLayer>,
        thread: usize,
    ) {
        let partial = Partial::cleared(context, layer.width, thread);
        if layer.covariance.is_some() || self.bytes.is_some() {
            return self.forward_by_vectors(simd, context, layer, before, &partial, thread);
        }
        let scratch = context.scratch(thread);
        let row = self.depth_width + gap(self.depth_width);
        let mut seen = 0;
        for block in part(self.blocks, thread, context.threads) {
            let pixels = self.block(layer, block);
            let input = [scratch.cast_const()];
            let product = self.product(context, layer, &pixels, &input, [self.depth, row]);
            // SAFETY: scratch is this thread's and has room for the rows. The packed weights have
            // this size. The block of the map is this thread's.
            unsafe {
                let target = Target::by_pixels(scratch, row, S::LANES);
                self.load(simd, context, layer, before, pixels.clone(), target);
                product.run(simd, pixels.len());
            }
            let z = context.pointer(layer.plain_output(pixels.start));
            partial.add(simd, context, layer, &pixels, z, &mut seen);
        }
    }

    /// The same where the statistics come from the covariance of the input, or `y` is computed in bytes.
    #[inline(always)]
    fn forward_by_vectors<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        before: Option<&PlannedLayer>,
        partial: &Partial,
        thread: usize,
    ) {
        let covariance = Covariance::of(context, layer);
        let input = context.scratch(thread);
        let target = Target::by_vectors(input, self.block, S::LANES);
        let segments: Vec<_> = (0..self.depth_width / S::LANES)
            .map(|v| input.wrapping_add(v * self.block * S::LANES).cast_const())
            .collect();
        let divided = covariance.filter(Covariance::is_divided);
        let bytes = self.bytes.as_ref().zip(before).and_then(|(bytes, before)| {
            let scratch = input.wrapping_add(self.block * self.depth_width);
            ByteProduct::new(bytes, context, [before, layer], scratch, self.block)
        });
        let own = part(self.blocks, thread, context.threads);
        let mut seen = 0;
        for block in own.clone() {
            let pixels = self.block(layer, block);
            let size = [pixels.len(), self.block];
            let product = self.product(context, layer, &pixels, &segments, [S::LANES; 2]);
            // SAFETY: scratch, means, sums, and the block of the map are this thread's.
            unsafe {
                self.load(simd, context, layer, before, pixels.clone(), target);
                if let Some(bytes) = &bytes {
                    bytes.run(input, size, product.output, product.output_stride);
                }
                if bytes.is_none() || self.branches > 1 {
                    let output = match bytes {
                        Some(_) => context.pointer(layer.plain_output(pixels.start)),
                        None => product.output,
                    };
                    Product { output, ..product }.run(simd, pixels.len());
                }
                if let Some(covariance) = covariance {
                    covariance.add_means(simd, input, size, seen, thread);
                    if divided.is_none() {
                        let add = block != own.start;
                        covariance.add_products(simd, input, size, add, thread);
                    }
                }
            }
            let z = context.pointer(layer.plain_output(pixels.start));
            partial.add(simd, context, layer, &pixels, z, &mut seen);
        }
        let Some(covariance) = divided else {
            return;
        };
        for block in 0..self.blocks {
            let pixels = self.block(layer, block);
            let size = [pixels.len(), self.block];
            // SAFETY: scratch and the panels' sums are this thread's.
            unsafe {
                self.load(simd, context, layer, before, pixels, target);
                covariance.add_products(simd, input, size, block > 0, thread);
            }
        }
    }

    /// Packs the thread's share of what the gradient of the input gets through `z`, after the weights
    /// of `y`.
    #[inline(always)]
    pub(in crate::training) fn pack_gradient<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        layer: &PlannedLayer,
        thread: usize,
    ) {
        if let Some(covariance) = Covariance::of(context, layer) {
            let packed = (context.packed(), self.transposed_layout, self.width);
            covariance.pack_gradient(simd, packed, thread);
        }
    }
}
