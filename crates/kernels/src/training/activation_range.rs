//! The range of a layer's activation over a batch, and what follows from it for the passes.

use super::context::PassContext;
use super::planned_layer::{Coefficient, PlannedLayer};
use super::statistics::Partial;
use crate::fake_quantization::{Grid, Levels};

/// Smallest and largest value of a layer's activation over the batch.
fn of_batch(context: &PassContext<'_>, layer: &PlannedLayer) -> [f32; 2] {
    let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
    for channel in 0..layer.spec.out_channels {
        // SAFETY: all threads have written the coefficients before the barrier.
        let get = |which| unsafe { context.coefficient(layer, which).add(channel).read() };
        let (scale, shift) = (get(Coefficient::Scale), get(Coefficient::Shift));
        for thread in 0..context.threads {
            let extremes = Partial::of(context, layer.width, thread).extremes(channel);
            for z in extremes.into_iter().flatten() {
                // As every pixel is normalised, which keeps the order of values.
                let a = layer.spec.activation.apply(z * scale + shift);
                (least, most) = (least.min(a), most.max(a));
            }
        }
    }
    [least, most]
}

/// Moves the range of a layer's activation, unless ranges are kept, and stores it and its grid for the passes. One thread
/// does this.
pub(super) fn finish(context: &PassContext<'_>, layer: &PlannedLayer) {
    let (Some(offsets), Some(ranges)) = (layer.range, context.ranges) else {
        return;
    };
    let (biased, [min, max]) = match context.integers {
        Some(_) => ranges.kept(layer.index),
        None => ranges.moved(layer.index, of_batch(context, layer)),
    };
    let grid = Grid::new(min, max, Levels::Wide);
    // SAFETY: only this thread writes the range, and no thread reads it now.
    unsafe {
        context
            .pointer(offsets.biased)
            .cast::<[f32; 2]>()
            .write(biased);
        context.pointer(offsets.grid).cast::<Grid>().write(grid);
    }
}

/// The grid to which a layer's activation is rounded, if it is.
#[inline(always)]
pub(super) fn grid(context: &PassContext<'_>, layer: &PlannedLayer) -> Option<Grid> {
    let range = layer.range.filter(|_| layer.rounded.is_some())?;
    // SAFETY: one thread wrote the grid before the last barrier.
    Some(unsafe { context.pointer(range.grid).cast::<Grid>().read() })
}
