//! Schedules of single layers on plain slices and the threads of the current rayon pool.
//!
//! The parts of a sum over pixels depend on sizes alone and are added in order. Every other value
//! is computed by one thread in a fixed order. So any number of threads gives the same bits.
//!
//! Each function checks the lengths of its slices and then writes every value of its output.

pub(crate) mod depthwise;
pub(crate) mod elementwise;
pub(crate) mod matrix;
pub(crate) mod normalization;
pub(crate) mod pool;
pub(crate) mod weights;

use std::cell::Cell;
use std::marker::PhantomData;

use rayon::prelude::*;

use crate::error::{KernelError, check_length};
use crate::network::Activation;
use crate::simd::AlignedBuffer;

/// What follows a convolution and is computed together with it: `activation(sum * scale + shift)`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// One factor per channel; `None` is 1.
    pub scale: Option<&'a [f32]>,
    /// One summand per channel; `None` is 0.
    pub shift: Option<&'a [f32]>,
    /// The activation; `None` is none.
    pub activation: Option<Activation>,
}

impl Epilogue<'_> {
    fn check(&self, channels: usize) -> Result<(), KernelError> {
        for (what, values) in [("scale", self.scale), ("shift", self.shift)] {
            if let Some(values) = values {
                check_length(what, values.len(), &[channels])?;
            }
        }
        Ok(())
    }

    fn bounds(&self) -> (f32, f32) {
        self.activation.unwrap_or(Activation::Identity).bounds()
    }

    fn scale(&self, channel: usize) -> f32 {
        self.scale.map_or(1.0, |scale| scale[channel])
    }

    fn shift(&self, channel: usize) -> f32 {
        self.shift.map_or(0.0, |shift| shift[channel])
    }
}

/// Output values. Each task writes its own part. They may be uninitialised before.
#[derive(Clone, Copy)]
pub(crate) struct Output<'a> {
    start: *mut f32,
    len: usize,
    values: PhantomData<&'a mut [f32]>,
}

// SAFETY: each task writes only its own values, so no value is accessed by two threads.
unsafe impl Sync for Output<'_> {}
// SAFETY: as for `Sync`.
unsafe impl Send for Output<'_> {}

impl<'a> From<&'a mut [f32]> for Output<'a> {
    fn from(values: &'a mut [f32]) -> Self {
        Self {
            start: values.as_mut_ptr(),
            len: values.len(),
            values: PhantomData,
        }
    }
}

impl Output<'_> {
    fn at(&self, offset: usize) -> *mut f32 {
        self.start.wrapping_add(offset)
    }
}

/// A new vector that `fill`, a schedule of this folder, fills. It is not set to zero first.
pub(crate) fn fresh(
    len: usize,
    fill: impl FnOnce(Output<'_>) -> Result<(), KernelError>,
) -> Result<Vec<f32>, KernelError> {
    let mut values = Vec::with_capacity(len);
    fill(Output {
        start: values.as_mut_ptr(),
        len,
        values: PhantomData,
    })?;
    // SAFETY: the capacity is `len`, and a schedule that returns no error has written all values.
    unsafe { values.set_len(len) }
    Ok(values)
}

/// Runs tasks on the current pool. Each task gets its thread's scratch of `scratch` values, whose
/// contents are arbitrary.
fn for_each_task(tasks: usize, scratch: usize, task: impl Fn(usize, *mut f32) + Sync) {
    if tasks == 1 {
        return with_scratch(scratch, |scratch| task(0, scratch));
    }
    (0..tasks)
        .into_par_iter()
        .for_each(|index| with_scratch(scratch, |scratch| task(index, scratch)));
}

/// The same, returning the tasks' results in order.
fn map_tasks<R: Send>(
    tasks: usize,
    scratch: usize,
    task: impl Fn(usize, *mut f32) -> R + Sync,
) -> Vec<R> {
    (0..tasks)
        .into_par_iter()
        .map(|index| with_scratch(scratch, |scratch| task(index, scratch)))
        .collect()
}

thread_local! {
    /// Kept between calls, because fresh memory costs a page fault every 4 KiB.
    static SCRATCH: Cell<Option<AlignedBuffer>> = const { Cell::new(None) };
}

fn with_scratch<R>(len: usize, job: impl FnOnce(*mut f32) -> R) -> R {
    let kept = SCRATCH.take();
    let kept = kept.filter(|kept| kept.as_slice().len() >= len);
    let mut buffer = kept.unwrap_or_else(|| AlignedBuffer::zeros(len));
    let result = job(buffer.as_mut_slice().as_mut_ptr());
    SCRATCH.set(Some(buffer));
    result
}

/// Copies `count` rows of scratch, which are `pixel` values apart, to pixels of `channels`
/// channels. Each channel is the sum of `multiplier` neighbouring values.
///
/// # Safety
/// The rows must be readable. The pixels must be writable and used by no other thread.
#[inline(always)]
unsafe fn store(
    rows: *const f32,
    pixel: usize,
    count: usize,
    channels: usize,
    multiplier: usize,
    output: *mut f32,
) {
    for p in 0..count {
        // SAFETY: the caller guarantees readable rows and writable pixels.
        unsafe {
            let (row, output) = (rows.add(p * pixel), output.add(p * channels));
            if multiplier == 1 {
                output.copy_from_nonoverlapping(row, channels);
                continue;
            }
            for channel in 0..channels {
                let of = |j| row.add(channel * multiplier + j).read();
                output.add(channel).write((0..multiplier).map(of).sum());
            }
        }
    }
}
