//! Weights in the order in which kernels read them, made anew for each forward pass.
//!
//! ```text
//! matrix      [panels of out][k][vectors of the panel][LANES]
//! transposed  [panels of in][out][vectors of the panel][LANES]
//! depthwise   [vectors][taps + bias of 0][LANES]
//! ```

use super::depthwise::Depthwise;
use super::matrix::Matrix;
use super::plan::{Operation, Step};
use super::program::Run;
use crate::partition::part;

/// The thread's share of the weights of all layers.
pub(super) fn weights(run: &Run<'_>, thread: usize) {
    for step in &run.plan.steps {
        match &step.operation {
            Operation::Matrix(matrix) => {
                self::matrix(run, step, matrix, thread);
                if step.index > run.plan.first_trained {
                    let (rows, columns) = (step.layer.out_channels, matrix.depth);
                    let (place, to) = (step.layer.weights, matrix.transposed);
                    rows_in_panels(run, place, [rows, columns], step.width, to, thread);
                }
            }
            Operation::Depthwise(depthwise) => self::depthwise(run, step, depthwise, thread),
        }
    }
    let plan = &run.plan.head;
    let (classes, channels) = (plan.head.classes, plan.channels);
    let place = plan.head.weights;
    columns_in_panels(run, place, [classes, channels], plan.weights, thread);
    let to = plan.transposed;
    rows_in_panels(run, place, [classes, channels], classes, to, thread);
    for class in part(plan.class_width, thread, run.threads) {
        let bias = if class < classes {
            run.parameters[plan.head.bias + class]
        } else {
            0.0
        };
        // SAFETY: the class is this thread's.
        unsafe { run.pointer(plan.bias + class).write(bias) }
    }
}

fn matrix(run: &Run<'_>, step: &Step, matrix: &Matrix, thread: usize) {
    let out = step.layer.out_channels;
    if matrix.taps() == 1 {
        let shape = [out, matrix.depth];
        return columns_in_panels(run, step.layer.weights, shape, matrix.weights, thread);
    }
    let panel = run.plan.vectors.panel * run.plan.vectors.lanes;
    for index in part(step.width.div_ceil(panel), thread, run.threads) {
        let first = index * panel;
        let lanes = panel.min(step.width - first);
        for lane in 0..lanes.min(out - first) {
            for k in 0..matrix.depth {
                let value = run.parameters[matrix.parameter(&step.layer, first + lane, k)];
                let place = matrix.weights + first * matrix.depth + k * lanes + lane;
                // SAFETY: the panel is this thread's; channels beyond the last stay 0 as the arena
                // was made.
                unsafe { run.pointer(place).write(value) }
            }
        }
    }
}

/// How far a block of a transposition goes: a cache line of each row.
pub(super) const BLOCK: usize = 16;

/// Rows of a matrix of `[out, depth]` become lanes: the thread's panels. Lanes beyond the last row
/// stay 0 as the arena was made.
fn columns_in_panels(
    run: &Run<'_>,
    from: usize,
    [out, depth]: [usize; 2],
    to: usize,
    thread: usize,
) {
    let vectors = run.plan.vectors;
    let panel = vectors.panel * vectors.lanes;
    let width = vectors.width(out);
    for index in part(width.div_ceil(panel), thread, run.threads) {
        let first = index * panel;
        let lanes = panel.min(width - first);
        let target = run.pointer(to + first * depth);
        for start in (0..depth).step_by(BLOCK) {
            let block = BLOCK.min(depth - start);
            for lane in 0..lanes.min(out - first) {
                let row = &run.parameters[from + (first + lane) * depth + start..][..block];
                for (k, &value) in row.iter().enumerate() {
                    // SAFETY: the panel is this thread's, and has `depth` rows of `lanes` values.
                    unsafe { target.add((start + k) * lanes + lane).write(value) }
                }
            }
        }
    }
}

/// Columns of a matrix of `[rows, columns]` become lanes: the thread's panels, each of `height`
/// rows, of which those beyond the matrix stay 0 as the arena was made.
fn rows_in_panels(
    run: &Run<'_>,
    from: usize,
    [rows, columns]: [usize; 2],
    height: usize,
    to: usize,
    thread: usize,
) {
    let vectors = run.plan.vectors;
    let panel = vectors.panel * vectors.lanes;
    let width = vectors.width(columns);
    for index in part(width.div_ceil(panel), thread, run.threads) {
        let first = index * panel;
        let lanes = panel.min(width - first);
        let values = lanes.min(columns - first);
        for row in 0..rows {
            let source = &run.parameters[from + row * columns + first..][..values];
            let target = run.pointer(to + first * height + row * lanes);
            // SAFETY: the panel is this thread's, and has `height` rows of `lanes` values; those
            // beyond the columns stay 0, too.
            unsafe { target.copy_from_nonoverlapping(source.as_ptr(), values) }
        }
    }
}

fn depthwise(run: &Run<'_>, step: &Step, depthwise: &Depthwise, thread: usize) {
    let lanes = run.plan.vectors.lanes;
    let taps = depthwise.taps();
    let value = |channel: usize, tap: usize| {
        if channel < step.layer.out_channels {
            run.parameters[step.layer.weights + channel * taps + tap]
        } else {
            0.0
        }
    };
    for vector in part(step.vectors, thread, run.threads) {
        for lane in 0..lanes {
            let channel = vector * lanes + lane;
            let write = |place: usize, count: usize, index: usize, tap: usize| {
                let place = place + (vector * (count + 1) + index) * lanes + lane;
                // SAFETY: the vector is this thread's. Biases stay 0 as the arena was made.
                unsafe { run.pointer(place).write(value(channel, tap)) }
            };
            for tap in 0..taps {
                write(depthwise.weights, taps, tap, tap);
            }
            for phase in depthwise.phases() {
                for (index, tap) in phase.taps().enumerate() {
                    write(phase.weights, phase.count(), index, tap);
                }
            }
        }
    }
}
