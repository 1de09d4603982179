//! Pooling, dropout and classifier, forward and backward. `a` is the activation of the last layer.
//!
//! ```text
//! features[b, c] = mean over the window of a[b, y, x, c]
//! dropped[b, c]  = features[b, c] * dropout[b, c]
//! logits[b, o]   = bias[o] + sum over c of dropped[b, c] * w[o, c]
//! ```

use super::activation_range;
use super::context::PassContext;
use super::layer_weights::LayerWeights;
use super::network::TrainingHead;
use super::offsets::{Offsets, Vectors};
use super::packing;
use super::planned_layer::PlannedLayer;
use super::planned_weights::PlannedWeights;
use super::rounded_biases::RoundedBiases;
use super::rounded_weights::RoundedWeights;
use super::source::{LayerActivation, gate_gradient};
use super::statistics::Partial;
use crate::fake_quantization::WeightScheme;
use crate::layer::matrix::{Product, UNBOUNDED};
use crate::layer::{Rows, Target};
use crate::panels::PanelLayout;
use crate::partition::part;
use crate::simd::{Simd, outer};

/// Offsets of the classifier's data.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlannedHead {
    pub(super) head: TrainingHead,
    /// The weights, if they are rounded.
    pub(super) rounded: Option<PlannedWeights>,
    pub(super) channels: usize,
    /// Number of channels and of classes, including the zeros that fill up the last vector.
    pub(super) width: usize,
    pub(super) class_width: usize,
    /// Offset of the features, `[batch, width]`.
    pub(super) features: usize,
    /// Offset of the features times the dropout factors.
    dropped: usize,
    feature_gradients: usize,
    /// Offset of the logits, and later of their gradient, `[batch, class_width]`.
    pub(super) logits: usize,
    /// Packed weights, with a column per class; and transposed, with a column per channel.
    layout: PanelLayout,
    transposed_layout: PanelLayout,
    bias: usize,
    /// Offset of the sums of the weight gradient, `[class_width, width]`.
    sums: usize,
    /// Rows and columns that are averaged.
    window: [usize; 2],
}

impl PlannedHead {
    pub(super) fn new(
        head: TrainingHead,
        rounded: Option<PlannedWeights>,
        channels: usize,
        window: [usize; 2],
        vectors: Vectors,
        batch: usize,
        offsets: &mut Offsets,
    ) -> Self {
        let (width, class_width) = (vectors.width(channels), vectors.width(head.classes));
        let layout = vectors.panels(head.classes, channels);
        let transposed_layout = vectors.panels(channels, head.classes);
        Self {
            head,
            rounded,
            channels,
            width,
            class_width,
            features: offsets.take(batch * width),
            dropped: offsets.take(batch * width),
            feature_gradients: offsets.take(batch * width),
            logits: offsets.take(batch * class_width),
            layout,
            transposed_layout,
            bias: offsets.take(class_width),
            sums: offsets.take(class_width * width),
            window,
        }
    }

    /// Values of packed weights.
    pub(super) fn packed(&self) -> usize {
        self.layout.len().max(self.transposed_layout.len())
    }

    /// Values of scratch per thread, for vectors of some lanes.
    pub(super) fn scratch(&self, lanes: usize) -> usize {
        packing::scratch(lanes, self.channels)
    }

    fn weights<'a>(&'a self, context: &'a PassContext<'a>) -> LayerWeights<'a> {
        let count = self.head.classes * self.channels;
        let weights = &context.parameters[self.head.weights..][..count];
        LayerWeights::new(weights, self.channels).rounded(context, self.rounded.as_ref())
    }

    /// Packs the thread's share of the weights.
    #[inline(always)]
    pub(super) fn pack<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        last: Option<&PlannedLayer>,
        thread: usize,
    ) {
        let weights = self.weights(context);
        context.clear_packed(&self.layout, self.layout.values(), thread);
        context.pack_columns(simd, &self.layout, 0, &weights, thread);
        let biases = self.rounded.as_ref();
        let biases = biases.and_then(|planned| RoundedBiases::new(context, planned, last));
        for class in part(self.head.classes, thread, context.threads) {
            let bias = context.parameters[self.head.bias + class];
            let rounded = biases.as_ref().map(|of| of.round(class, bias.into()));
            let bias = rounded.map_or(bias, |bias| bias as f32);
            // SAFETY: the class is this thread's. The padding of the last vector is 0 from the
            // start.
            unsafe { context.pointer(self.bias + class).write(bias) }
        }
    }

    /// Computes the features of the thread's images, then the logits of the thread's panels.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        last: &PlannedLayer,
        thread: usize,
    ) {
        for image in part(context.batch, thread, context.threads) {
            self.pool(simd, context, last, image, thread);
        }
        context.wait();
        let product = Product {
            input: &[context.pointer(self.dropped)],
            length: self.channels,
            stride: self.width,
            layout: self.layout,
            panels: part(self.layout.count(), thread, context.threads),
            weights: context.packed(),
            next: None,
            bias: Some(context.pointer(self.bias)),
            bounds: UNBOUNDED,
            output: context.pointer(self.logits),
            output_stride: self.class_width,
        };
        // SAFETY: features and packed weights have these sizes. The panels' logits are this
        // thread's.
        unsafe { product.run(simd, context.batch) }
    }

    /// Computes the features of an image, and the same after dropout.
    #[inline(always)]
    fn pool<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        last: &PlannedLayer,
        image: usize,
        thread: usize,
    ) {
        let [rows, columns] = self.window;
        let scratch = context.scratch(thread);
        let activation = LayerActivation {
            context,
            layer: last,
        };
        let target = Target::by_pixels(scratch, self.width, S::LANES);
        let features = context.pointer(self.features + image * self.width);
        let share = simd.splat(1.0 / (rows * columns) as f32);
        // SAFETY: the image's features are this thread's, and its scratch has room for a pixel.
        unsafe {
            features.write_bytes(0, self.width);
            for y in 0..rows {
                for x in 0..columns {
                    let row = image * last.size.rows.output + y;
                    let pixel = row * last.size.columns.output + x;
                    activation.load(simd, pixel..pixel + 1, 0..last.vectors, target);
                    for channel in (0..self.width).step_by(S::LANES) {
                        let a = simd.load(scratch.add(channel));
                        let sum = simd.mul_add(a, share, simd.load(features.add(channel)));
                        simd.store(features.add(channel), sum);
                    }
                }
            }
            if context.integers.is_some() {
                self.round(context, last, features);
            }
            let dropped = context.pointer(self.dropped + image * self.width);
            for channel in 0..self.channels {
                let factor = self.factor(context, image, channel);
                dropped
                    .add(channel)
                    .write(features.add(channel).read() * factor);
            }
        }
    }

    /// Rounds features as TensorFlow Lite's average pool: halves up, but with signed integers away
    /// from 0, which is at level 128.
    ///
    /// # Safety
    /// The features must be this thread's.
    unsafe fn round(&self, context: &PassContext<'_>, last: &PlannedLayer, features: *mut f32) {
        // f32 may be a bit beside a half. This is more than that, and less than the distance from a
        // half of any other mean over fewer than 500 pixels.
        const BESIDE: f32 = 1e-3;
        let Some(grid) = activation_range::grid(context, last) else {
            return;
        };
        let scheme = self.rounded.map(|planned| planned.scheme);
        let signed = scheme == Some(WeightScheme::PerChannel);
        for channel in 0..self.channels {
            // SAFETY: the caller guarantees the features.
            unsafe {
                let feature = features.add(channel);
                let mean = feature.read();
                let down = signed && mean < 128.0 * grid.scale();
                let beside = if down { -BESIDE } else { BESIDE } * grid.scale();
                feature.write(grid.round(mean + beside));
            }
        }
    }

    fn factor(&self, context: &PassContext<'_>, image: usize, channel: usize) -> f32 {
        context
            .dropout
            .map_or(1.0, |dropout| dropout[image * self.channels + channel])
    }

    /// Computes the gradients of the classifier's parameters and of the last activation.
    #[inline(always)]
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        context: &PassContext<'_>,
        last: &PlannedLayer,
        needs_input: bool,
        thread: usize,
    ) {
        if needs_input {
            let (layout, weights) = (&self.transposed_layout, self.weights(context));
            context.clear_packed(layout, layout.values(), thread);
            context.pack_rows(simd, layout, 0, &weights, thread);
        }
        self.weight_gradient(simd, context, thread);
        if !needs_input {
            return;
        }
        context.wait();
        let product = Product {
            input: &[context.pointer(self.logits)],
            length: self.head.classes,
            stride: self.class_width,
            layout: self.transposed_layout,
            panels: part(self.transposed_layout.count(), thread, context.threads),
            weights: context.packed(),
            next: None,
            bias: None,
            bounds: UNBOUNDED,
            output: context.pointer(self.feature_gradients),
            output_stride: self.width,
        };
        // SAFETY: gradients and packed weights have these sizes; the panels' gradients are this
        // thread's.
        unsafe { product.run(simd, context.batch) }
        context.wait();
        let partial = Partial::cleared(context, last.width, thread);
        for image in part(context.batch, thread, context.threads) {
            self.spread(context, last, image);
            let pixels = last.size.rows.output * last.size.columns.output;
            let pixels = image * pixels..(image + 1) * pixels;
            gate_gradient(simd, context, last, pixels, &partial);
        }
        context.wait();
    }

    /// Computes the weight gradient of the thread's classes: sums over the batch.
    #[inline(always)]
    fn weight_gradient<S: Simd>(&self, simd: S, context: &PassContext<'_>, thread: usize) {
        let vectors = self.width / S::LANES;
        let rounded = self.rounded.as_ref();
        let rounded = rounded.map(|planned| RoundedWeights { context, planned });
        let rounded = rounded.map(|weights| (weights, weights.grids()));
        let no_other = vec![0.0; self.channels];
        let blocks = outer::blocks::<S>(self.class_width);
        for block in part(blocks, thread, context.threads) {
            let classes = outer::rows::<S>(self.class_width, block);
            let class = classes.start;
            let mut left = [std::ptr::null(); outer::MOST_ROWS];
            for (left, class) in left.iter_mut().zip(classes.clone()) {
                *left = context.pointer(self.logits + class).cast_const();
            }
            for first in (0..vectors).step_by(S::PANEL) {
                let size = S::PANEL.min(vectors - first);
                let mut columns = [std::ptr::null(); 4];
                for (j, column) in columns[..size].iter_mut().enumerate() {
                    *column = context
                        .pointer(self.dropped + (first + j) * S::LANES)
                        .cast_const();
                }
                let job = outer::Outer {
                    left: &left[..classes.len()],
                    left_stride: self.class_width,
                    right: &columns[..size],
                    right_stride: self.width,
                    count: context.batch,
                    sums: context.pointer(self.sums + class * self.width + first * S::LANES),
                    row: self.width,
                    add: false,
                };
                // SAFETY: gradients and features hold a row for each image; the classes' sums are
                // this thread's.
                unsafe { outer::run(simd, &job) }
            }
            for class in class..self.head.classes.min(classes.end) {
                let sums = context.pointer(self.sums + class * self.width);
                let weights = self.head.weights + class * self.channels;
                // SAFETY: the class's row is this thread's, and was just written.
                unsafe {
                    context
                        .parameter_gradient(weights)
                        .copy_from_nonoverlapping(sums, self.channels);
                    if let Some((rounded, grids)) = &rounded {
                        rounded.write_gradient(&grids.get(class), class, &no_other);
                    }
                    let of = |image| {
                        context
                            .pointer(self.logits + image * self.class_width + class)
                            .read()
                    };
                    let sum = (0..context.batch).map(of).sum();
                    context
                        .parameter_gradient(self.head.bias + class)
                        .write(sum);
                }
            }
        }
    }

    /// Writes the gradient of the last activation for an image: that of the features inside the
    /// window, 0 outside.
    fn spread(&self, context: &PassContext<'_>, last: &PlannedLayer, image: usize) {
        let [rows, columns] = self.window;
        let (height, width) = (last.size.rows.output, last.size.columns.output);
        let share = 1.0 / (rows * columns) as f32;
        let gradients = context.pointer(self.feature_gradients + image * self.width);
        let output = context.gradient(last);
        // SAFETY: the image's gradients are this thread's.
        unsafe {
            for channel in 0..self.channels {
                let gradient = gradients.add(channel);
                gradient.write(gradient.read() * share * self.factor(context, image, channel));
            }
            for y in 0..height {
                for x in 0..width {
                    let pixel = output.add(((image * height + y) * width + x) * self.width);
                    if y < rows && x < columns {
                        pixel.copy_from_nonoverlapping(gradients, self.width);
                    } else {
                        pixel.write_bytes(0, self.width);
                    }
                }
            }
        }
    }
}
