//! Batch normalisation in training. Each function makes one pass over pixels that are in the cache,
//! or that have to be read for another reason.
//!
//! `z` is a layer's output before normalisation, and `a` its activation. `g` is the gradient of
//! `a`, and `dz` that of `z`.
//!
//! ```text
//! statistics   mean and sum of squared deviations of z, per channel
//! extremes     smallest and largest z, per channel
//! normalize    a   = clamp(z * scale + shift), perhaps rounded to the values of an integer
//! gate         g  := g where low < z * scale + shift < high, else 0;  sums of g and g * (z - mean)
//! backward     dz  = g * factor + z * slope + offset
//! ```
//!
//! Pixels are `pixel` values apart, channels are whole vectors.

use super::rounding::{Rounding, Steps};
use crate::simd::Simd;

/// Adds `count` pixels to the statistics of `seen` pixels: `mean` and `deviations` (sum of squared
/// deviations), one value per channel. The new pixels are summed as differences from the first of
/// them, so that a large mean costs no precision. They are merged by Chan's formula.
///
/// # Safety
/// `count` pixels of `vectors` vectors must be readable. `mean` and `deviations` must hold that
/// many vectors and be used by no other thread.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one value each")]
pub(crate) unsafe fn statistics<S: Simd>(
    simd: S,
    input: *const f32,
    pixel: usize,
    count: usize,
    vectors: usize,
    seen: f32,
    mean: *mut f32,
    deviations: *mut f32,
) {
    let (minus, zero) = (simd.splat(-1.0), simd.splat(0.0));
    let number = count as f32;
    let share = simd.splat(1.0 / number);
    let merged = seen + number;
    let (weight, product) = (
        simd.splat(number / merged),
        simd.splat(seen / merged * number),
    );
    for vector in 0..vectors {
        let channel = vector * S::LANES;
        // SAFETY: the caller guarantees that all this memory is valid.
        unsafe {
            let input = input.add(channel);
            let pivot = simd.load(input);
            // Two sums of each kind, because each addition to a single sum would wait for the one
            // before.
            let (mut even, mut odd) = ([zero; 2], [zero; 2]);
            for pair in 0..count / 2 {
                let values = input.add(2 * pair * pixel);
                add_difference(simd, simd.load(values), pivot, &mut even);
                add_difference(simd, simd.load(values.add(pixel)), pivot, &mut odd);
            }
            if count % 2 == 1 {
                let last = simd.load(input.add((count - 1) * pixel));
                add_difference(simd, last, pivot, &mut even);
            }
            let sum = simd.add(even[0], odd[0]);
            let square = simd.add(even[1], odd[1]);
            let offset = simd.mul_add(sum, share, zero);
            let new_mean = simd.add(pivot, offset);
            let new_deviations = simd.mul_add(simd.mul_add(sum, minus, zero), offset, square);
            let (old_mean, old_deviations) = (
                simd.load(mean.add(channel)),
                simd.load(deviations.add(channel)),
            );
            let delta = simd.subtract(new_mean, old_mean);
            simd.store(mean.add(channel), simd.mul_add(delta, weight, old_mean));
            let between = simd.mul_add(delta, delta, zero);
            let deviation =
                simd.mul_add(between, product, simd.add(old_deviations, new_deviations));
            simd.store(deviations.add(channel), deviation);
        }
    }
}

/// Adds a value's difference from the pivot to a sum and to a sum of squares.
#[inline(always)]
fn add_difference<S: Simd>(simd: S, value: S::Vector, pivot: S::Vector, sums: &mut [S::Vector; 2]) {
    let difference = simd.subtract(value, pivot);
    sums[0] = simd.add(sums[0], difference);
    sums[1] = simd.mul_add(difference, difference, sums[1]);
}

/// Ranges that are extended in turn.
const RANGES: usize = 4;

/// Extends the range of each channel, `lowest` to `highest`, to `count` pixels (at least 1). If
/// `fresh`, nothing was seen before them.
///
/// # Safety
/// As [`statistics`].
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one value each")]
pub(crate) unsafe fn extremes<S: Simd>(
    simd: S,
    input: *const f32,
    pixel: usize,
    count: usize,
    vectors: usize,
    fresh: bool,
    lowest: *mut f32,
    highest: *mut f32,
) {
    let (least, most) = (simd.splat(f32::NEG_INFINITY), simd.splat(f32::INFINITY));
    for vector in 0..vectors {
        let channel = vector * S::LANES;
        // SAFETY: the caller guarantees that all this memory is valid.
        unsafe {
            let input = input.add(channel);
            let first = simd.load(input);
            let found = match fresh {
                true => (first, first),
                false => (
                    simd.load(lowest.add(channel)),
                    simd.load(highest.add(channel)),
                ),
            };
            // Several ranges, because each comparison with a single one would wait for the one before.
            let mut ranges = [found; RANGES];
            let extend = |(low, high), p| {
                let z = simd.load(input.add(p * pixel));
                (simd.clamp(z, least, low), simd.clamp(z, high, most))
            };
            let whole = count - count % RANGES;
            for start in (0..whole).step_by(RANGES) {
                for (p, range) in ranges.iter_mut().enumerate() {
                    *range = extend(*range, start + p);
                }
            }
            for p in whole..count {
                ranges[0] = extend(ranges[0], p);
            }
            let [(mut low, mut high), rest @ ..] = ranges;
            for (other_low, other_high) in rest {
                low = simd.clamp(other_low, least, low);
                high = simd.clamp(other_high, high, most);
            }
            simd.store(lowest.add(channel), low);
            simd.store(highest.add(channel), high);
        }
    }
}

/// `z * scale + shift`, rounded twice on purpose. Where `z` is the mean, product and shift cancel;
/// in a fused multiply-add they would not.
#[inline(always)]
fn affine<S: Simd>(simd: S, z: S::Vector, scale: S::Vector, shift: S::Vector) -> S::Vector {
    simd.add(simd.mul_add(z, scale, simd.splat(0.0)), shift)
}

/// Pixels to be normalised.
pub(crate) struct Normalize {
    /// `z`.
    pub(crate) input: *const f32,
    /// Values from one pixel to the next.
    pub(crate) pixel: usize,
    pub(crate) count: usize,
    pub(crate) vectors: usize,
    /// One value per channel.
    pub(crate) scale: *const f32,
    pub(crate) shift: *const f32,
    /// Bounds of the activation, and of the rounded values.
    pub(crate) bounds: (f32, f32),
    /// Which values the activation is rounded to.
    pub(crate) rounding: Option<Steps>,
    /// Vector `v` of pixel `p` is written to `output + p * output_pixel + v * output_vector`.
    pub(crate) output: *mut f32,
    pub(crate) output_pixel: usize,
    pub(crate) output_vector: usize,
}

/// # Safety
/// All memory that the sizes and strides describe must be readable. The output must be writable and
/// used by no other thread.
#[inline(always)]
pub(crate) unsafe fn normalize<S: Simd>(simd: S, job: &Normalize) {
    // SAFETY: the caller's.
    unsafe {
        match &job.rounding {
            None => normalize_and::<S, false>(simd, job, None),
            Some(steps) => normalize_and::<S, true>(simd, job, Some(Rounding::new(simd, steps))),
        }
    }
}

/// [`normalize`], where it is known when compiling whether values are rounded.
///
/// # Safety
/// As [`normalize`].
#[inline(always)]
unsafe fn normalize_and<S: Simd, const ROUND: bool>(
    simd: S,
    job: &Normalize,
    rounding: Option<Rounding<S>>,
) {
    let (low, high) = (simd.splat(job.bounds.0), simd.splat(job.bounds.1));
    for p in 0..job.count {
        for v in 0..job.vectors {
            let channel = v * S::LANES;
            // SAFETY: the caller guarantees that all this memory is valid.
            unsafe {
                let z = simd.load(job.input.add(p * job.pixel + channel));
                let scale = simd.load(job.scale.add(channel));
                let y = affine(simd, z, scale, simd.load(job.shift.add(channel)));
                let mut a = simd.clamp(y, low, high);
                if let (true, Some(rounding)) = (ROUND, &rounding) {
                    a = rounding.round(simd, a);
                }
                let output = job.output.add(p * job.output_pixel + v * job.output_vector);
                simd.store(output, a);
            }
        }
    }
}

/// Pixels whose gradient is taken back through the activation.
pub(crate) struct Gate {
    /// Gradient of `a`. It is replaced by the gradient of the activation's input.
    pub(crate) gradient: *mut f32,
    /// Values from one pixel to the next.
    pub(crate) gradient_pixel: usize,
    /// `z`.
    pub(crate) input: *const f32,
    pub(crate) input_pixel: usize,
    pub(crate) count: usize,
    pub(crate) vectors: usize,
    /// One value per channel.
    pub(crate) scale: *const f32,
    pub(crate) shift: *const f32,
    pub(crate) mean: *const f32,
    /// Bounds of the activation.
    pub(crate) bounds: (f32, f32),
    /// Sum over pixels of the gradient. The new sum is added to it.
    pub(crate) sums: *mut f32,
    /// The same for gradient times `z - mean`.
    pub(crate) products: *mut f32,
}

/// # Safety
/// All memory that the sizes and strides describe must be readable. Gradient and sums must be
/// writable and used by no other thread.
#[inline(always)]
pub(crate) unsafe fn gate<S: Simd>(simd: S, job: &Gate) {
    let (low, high) = (simd.splat(job.bounds.0), simd.splat(job.bounds.1));
    let (minus, zero) = (simd.splat(-1.0), simd.splat(0.0));
    for v in 0..job.vectors {
        let channel = v * S::LANES;
        // SAFETY: the caller guarantees that all this memory is valid.
        unsafe {
            let scale = simd.load(job.scale.add(channel));
            let shift = simd.load(job.shift.add(channel));
            let mean = simd.mul_add(simd.load(job.mean.add(channel)), minus, zero);
            let of_channel = OfChannel::<S> {
                scale,
                shift,
                mean,
                bounds: (low, high),
            };
            let (mut even, mut odd) = ([zero; 2], [zero; 2]);
            for pair in 0..job.count / 2 {
                gate_pixel(simd, job, 2 * pair, channel, &of_channel, &mut even);
                gate_pixel(simd, job, 2 * pair + 1, channel, &of_channel, &mut odd);
            }
            if job.count % 2 == 1 {
                gate_pixel(simd, job, job.count - 1, channel, &of_channel, &mut even);
            }
            let sum = simd.add(simd.load(job.sums.add(channel)), simd.add(even[0], odd[0]));
            simd.store(job.sums.add(channel), sum);
            let product = simd.add(even[1], odd[1]);
            let product = simd.add(simd.load(job.products.add(channel)), product);
            simd.store(job.products.add(channel), product);
        }
    }
}

/// Values of one vector of channels for [`gate`].
struct OfChannel<S: Simd> {
    scale: S::Vector,
    shift: S::Vector,
    /// The negated mean.
    mean: S::Vector,
    bounds: (S::Vector, S::Vector),
}

/// Takes one vector of one pixel through the activation, and adds to `sums`, which are those of the
/// gradient and of the product. This is a function because a closure cannot be forced to be
/// inlined. Without inlining, each vector operation would be a call.
///
/// # Safety
/// As [`gate`], for the vector of pixel `p` that begins at `channel`.
#[inline(always)]
unsafe fn gate_pixel<S: Simd>(
    simd: S,
    job: &Gate,
    p: usize,
    channel: usize,
    of_channel: &OfChannel<S>,
    sums: &mut [S::Vector; 2],
) {
    let (low, high) = of_channel.bounds;
    // SAFETY: the caller guarantees that this memory is valid.
    unsafe {
        let z = simd.load(job.input.add(p * job.input_pixel + channel));
        let y = affine(simd, z, of_channel.scale, of_channel.shift);
        let gradient = job.gradient.add(p * job.gradient_pixel + channel);
        let g = simd.gate(simd.load(gradient), y, low, high);
        simd.store(gradient, g);
        sums[0] = simd.add(sums[0], g);
        sums[1] = simd.mul_add(g, simd.add(z, of_channel.mean), sums[1]);
    }
}

/// Pixels whose gradient is taken back through the normalisation.
pub(crate) struct BatchNormBackward {
    /// Gradient after [`gate`].
    pub(crate) gradient: *const f32,
    /// `z`.
    pub(crate) input: *const f32,
    /// Values from one pixel to the next.
    pub(crate) gradient_pixel: usize,
    pub(crate) input_pixel: usize,
    pub(crate) count: usize,
    pub(crate) vectors: usize,
    /// One value per channel.
    pub(crate) factor: *const f32,
    pub(crate) slope: *const f32,
    pub(crate) offset: *const f32,
    /// Vector `v` of pixel `p` is written to `output + p * output_pixel + v * output_vector`.
    pub(crate) output: *mut f32,
    pub(crate) output_pixel: usize,
    pub(crate) output_vector: usize,
}

/// # Safety
/// As [`normalize`].
#[inline(always)]
pub(crate) unsafe fn batch_norm_backward<S: Simd>(simd: S, job: &BatchNormBackward) {
    for p in 0..job.count {
        for v in 0..job.vectors {
            let channel = v * S::LANES;
            // SAFETY: the caller guarantees that all this memory is valid.
            unsafe {
                let z = simd.load(job.input.add(p * job.input_pixel + channel));
                let slope = simd.load(job.slope.add(channel));
                let rest = simd.mul_add(z, slope, simd.load(job.offset.add(channel)));
                let g = simd.load(job.gradient.add(p * job.gradient_pixel + channel));
                let dz = simd.mul_add(g, simd.load(job.factor.add(channel)), rest);
                let output = job.output.add(p * job.output_pixel + v * job.output_vector);
                simd.store(output, dz);
            }
        }
    }
}
