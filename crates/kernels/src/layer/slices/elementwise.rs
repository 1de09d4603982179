//! Activations and their gradients, element by element.

use super::{Output, for_each_task};
use crate::error::{KernelError, check_length};
use crate::simd::elementwise::{Clamp, ClampGradient, clamp, clamp_gradient};
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Values per task. With fewer, another thread does not pay.
const CHUNK: usize = 1 << 14;

/// `output = clamp(input)`.
pub(crate) fn activate(
    input: &[f32],
    bounds: (f32, f32),
    output: Output<'_>,
) -> Result<(), KernelError> {
    check_length("output", output.len, &[input.len()])?;
    let isa = Isa::current()?;
    for_each_task(input.len().div_ceil(CHUNK), 0, |index, _| {
        let first = index * CHUNK;
        let job = Clamp {
            input: input[first..].as_ptr(),
            bounds,
            output: output.at(first),
            len: CHUNK.min(input.len() - first),
        };
        dispatch(isa, Forward(&job));
    });
    Ok(())
}

/// `output = gradient` where the input lies strictly between the bounds, 0 elsewhere.
pub(crate) fn activation_gradient(
    input: &[f32],
    bounds: (f32, f32),
    gradient: &[f32],
    output: Output<'_>,
) -> Result<(), KernelError> {
    check_length("output gradient", gradient.len(), &[input.len()])?;
    check_length("input gradient", output.len, &[input.len()])?;
    let isa = Isa::current()?;
    for_each_task(input.len().div_ceil(CHUNK), 0, |index, _| {
        let first = index * CHUNK;
        let job = ClampGradient {
            input: input[first..].as_ptr(),
            gradient: gradient[first..].as_ptr(),
            bounds,
            output: output.at(first),
            len: CHUNK.min(input.len() - first),
        };
        dispatch(isa, Backward(&job));
    });
    Ok(())
}

struct Forward<'a>(&'a Clamp);

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: the chunk lies in input and output, and is this task's.
        unsafe { clamp(simd, self.0) }
    }
}

struct Backward<'a>(&'a ClampGradient);

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: the chunk lies in input, gradient and output, and is this task's.
        unsafe { clamp_gradient(simd, self.0) }
    }
}
