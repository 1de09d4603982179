//! Pooling, dropout and classifier, forward and backward.
//!
//! ```text
//! features[b, c] = mean over the window of a[b, y, x, c]
//! dropped[b, c]  = features[b, c] * dropout[b, c]
//! logits[b, o]   = bias[o] + sum over c of dropped[b, c] * w[o, c]
//! ```

use super::plan::Step;
use super::product::Product;
use super::program::Run;
use super::source::Target;
use super::statistics::Partial;
use crate::partition::part;
use crate::simd::{Simd, outer};

/// Features of the thread's images, then logits of the thread's panels.
#[inline(always)]
pub(super) fn forward<S: Simd>(simd: S, run: &Run<'_>, thread: usize) {
    let Some(last) = run.plan.steps.last() else {
        return;
    };
    for image in part(run.batch, thread, run.threads) {
        features(simd, run, last, image, thread);
    }
    run.wait();
    let head = &run.plan.head;
    let vectors = head.class_width / S::LANES;
    let panels = part(vectors.div_ceil(S::PANEL), thread, run.threads);
    let first = panels.start * S::PANEL;
    let channel = first * S::LANES;
    let product = Product {
        input: &[run.pointer(head.dropped)],
        length: head.channels,
        step: head.width,
        weights: run.pointer(head.weights + channel * head.channels),
        bias: Some(run.pointer(head.bias + channel)),
        depth: head.channels,
        vectors: vectors.min(panels.end * S::PANEL).saturating_sub(first),
        output: run.pointer(head.logits + channel),
        width: head.class_width,
    };
    // SAFETY: features and packed weights have these sizes; the panels' logits are this thread's.
    unsafe { product.run(simd, run.batch) }
}

/// Features of an image, and the same after dropout.
#[inline(always)]
fn features<S: Simd>(simd: S, run: &Run<'_>, last: &Step, image: usize, thread: usize) {
    let head = &run.plan.head;
    let [rows, columns] = head.window;
    let scratch = run.scratch(thread);
    let target = Target {
        start: scratch,
        pixel: head.width,
        vector: S::LANES,
    };
    let features = run.pointer(head.features + image * head.width);
    let share = simd.splat(1.0 / (rows * columns) as f32);
    // SAFETY: the image's features are this thread's, its scratch holds a pixel.
    unsafe {
        features.write_bytes(0, head.width);
        for y in 0..rows {
            for x in 0..columns {
                let place = (image * last.size.rows.output + y) * last.size.columns.output + x;
                last.activation(simd, run, place, 1, target);
                for channel in (0..head.width).step_by(S::LANES) {
                    let a = simd.load(scratch.add(channel));
                    let sum = simd.mul_add(a, share, simd.load(features.add(channel)));
                    simd.store(features.add(channel), sum);
                }
            }
        }
        let dropped = run.pointer(head.dropped + image * head.width);
        for channel in 0..head.channels {
            let factor = factor(run, image, channel);
            dropped
                .add(channel)
                .write(features.add(channel).read() * factor);
        }
    }
}

fn factor(run: &Run<'_>, image: usize, channel: usize) -> f32 {
    run.dropout.map_or(1.0, |dropout| {
        dropout[image * run.plan.head.channels + channel]
    })
}

/// Gradients of the classifier's parameters and of the last activation.
#[inline(always)]
pub(super) fn backward<S: Simd>(simd: S, run: &Run<'_>, thread: usize) {
    let Some(last) = run.plan.steps.last() else {
        return;
    };
    weight_gradient(simd, run, thread);
    if run.plan.first_trained == run.plan.steps.len() {
        return;
    }
    let head = &run.plan.head;
    let vectors = head.width / S::LANES;
    let panels = part(vectors.div_ceil(S::PANEL), thread, run.threads);
    let first = panels.start * S::PANEL;
    let channel = first * S::LANES;
    let product = Product {
        input: &[run.pointer(head.logits)],
        length: head.head.classes,
        step: head.class_width,
        weights: run.pointer(head.transposed + channel * head.head.classes),
        bias: None,
        depth: head.head.classes,
        vectors: vectors.min(panels.end * S::PANEL).saturating_sub(first),
        output: run.pointer(head.feature_gradients + channel),
        width: head.width,
    };
    // SAFETY: gradients and packed weights have these sizes; the panels' gradients are this
    // thread's.
    unsafe { product.run(simd, run.batch) }
    run.wait();
    let partial = Partial::cleared(run, last.width, thread);
    for image in part(run.batch, thread, run.threads) {
        spread(run, last, image);
        let pixels = last.size.rows.output * last.size.columns.output;
        last.gate(simd, run, image * pixels, pixels, &partial);
    }
    run.wait();
}

/// Sums over the batch for the thread's classes.
#[inline(always)]
fn weight_gradient<S: Simd>(simd: S, run: &Run<'_>, thread: usize) {
    let head = &run.plan.head;
    let vectors = head.width / S::LANES;
    for group in part(head.class_width / S::OUTER_ROWS, thread, run.threads) {
        let class = group * S::OUTER_ROWS;
        for first in (0..vectors).step_by(S::PANEL) {
            let size = S::PANEL.min(vectors - first);
            let mut columns = [std::ptr::null(); 4];
            for (j, column) in columns[..size].iter_mut().enumerate() {
                *column = run
                    .pointer(head.dropped + (first + j) * S::LANES)
                    .cast_const();
            }
            let job = outer::Outer {
                left: run.pointer(head.logits + class),
                left_step: head.class_width,
                right: &columns[..size],
                right_step: head.width,
                count: run.batch,
                sums: run.pointer(head.sums + class * head.width + first * S::LANES),
                row: head.width,
                add: false,
            };
            // SAFETY: gradients and features hold a row for each image; the classes' sums are
            // this thread's.
            unsafe { outer::run(simd, &job) }
        }
        for class in class..head.head.classes.min(class + S::OUTER_ROWS) {
            let sums = run.pointer(head.sums + class * head.width);
            let weights = head.head.weights + class * head.channels;
            // SAFETY: the class's row is this thread's, and was just written.
            unsafe {
                run.parameter_gradient(weights)
                    .copy_from_nonoverlapping(sums, head.channels);
                let of = |image| {
                    run.pointer(head.logits + image * head.class_width + class)
                        .read()
                };
                let sum = (0..run.batch).map(of).sum();
                run.parameter_gradient(head.head.bias + class).write(sum);
            }
        }
    }
}

/// Writes an image's gradient of the last activation: the features' over the window, 0 elsewhere.
fn spread(run: &Run<'_>, last: &Step, image: usize) {
    let head = &run.plan.head;
    let [rows, columns] = head.window;
    let (height, width) = (last.size.rows.output, last.size.columns.output);
    let share = 1.0 / (rows * columns) as f32;
    let gradients = run.pointer(head.feature_gradients + image * head.width);
    let output = run.gradients(last).0;
    // SAFETY: the image's gradients are this thread's.
    unsafe {
        for channel in 0..head.channels {
            let place = gradients.add(channel);
            place.write(place.read() * share * factor(run, image, channel));
        }
        for y in 0..height {
            for x in 0..width {
                let pixel = output.add(((image * height + y) * width + x) * head.width);
                if y < rows && x < columns {
                    pixel.copy_from_nonoverlapping(gradients, head.width);
                } else {
                    pixel.write_bytes(0, head.width);
                }
            }
        }
    }
}
