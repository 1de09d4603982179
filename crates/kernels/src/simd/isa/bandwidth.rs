//! Measures how fast one core reads: the upper bound for kernels with few operations per byte.

use std::hint::black_box;
use std::time::Instant;

use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Independent sums, so that the latency of an addition does not limit the reads.
const SUMS: usize = 8;

/// Bytes of a timed run, at least.
const RUN: usize = 64 << 20;

struct Read<'a> {
    values: &'a [f32],
    rounds: usize,
}

impl Kernel for Read<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let mut sums = [simd.splat(0.0); SUMS];
        let start = Instant::now();
        for _ in 0..self.rounds {
            for chunk in black_box(self.values).chunks_exact(SUMS * S::LANES) {
                for (index, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: a chunk has `SUMS` vectors of `LANES` values.
                    let vector = unsafe { simd.load(chunk.as_ptr().add(index * S::LANES)) };
                    *sum = simd.add(*sum, vector);
                }
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        black_box(sums);
        (self.rounds * size_of_val(self.values)) as f64 / seconds / 1e9
    }
}

/// Measures the speed at which the current core reads a buffer of this size again and again, in
/// GB/s: the best of several runs. A buffer larger than the caches gives the memory's bandwidth, a
/// smaller one that of the cache which holds it.
pub fn measure_bandwidth(isa: Isa, bytes: usize) -> f64 {
    // Not zeros, which the system may map to one page.
    let values = vec![1.0f32; bytes / 4];
    let rounds = (RUN / bytes.max(1)).max(1);
    let runs = (0..10).map(|_| {
        let values = &values;
        dispatch(isa, Read { values, rounds })
    });
    runs.fold(0.0, f64::max)
}
