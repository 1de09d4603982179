//! Measures how many multiply-adds one core can do: the upper bound for every kernel.

use std::hint::black_box;
use std::time::Instant;

use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Independent sums: 2 units times 4 cycles of latency are 8, and some more to be safe.
const SUMS: usize = 12;

struct Peak {
    rounds: usize,
}

impl Kernel for Peak {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let (a, b) = (simd.splat(black_box(0.999)), simd.splat(black_box(0.001)));
        let mut sums = [simd.splat(0.5); SUMS];
        let start = Instant::now();
        for _ in 0..self.rounds {
            for sum in &mut sums {
                *sum = simd.mul_add(*sum, a, b);
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        black_box(sums);
        (self.rounds * SUMS * S::LANES * 2) as f64 / seconds / 1e9
    }
}

/// Measures the multiply-add peak of the current core in GFLOP/s: the best of several short runs.
pub fn measure_peak(isa: Isa) -> f64 {
    (0..20)
        .map(|_| dispatch(isa, Peak { rounds: 100_000 }))
        .fold(0.0, f64::max)
}
