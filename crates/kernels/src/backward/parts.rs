//! Sums over many pixels by several threads: cut by the sizes alone, added up in order.

use std::ops::{AddAssign, Range};

use rayon::prelude::*;

use crate::partition::part;

/// Parts of a sum: enough to keep many threads busy to the end.
const PARTS: usize = 32;

/// Values of all parts together, so that large gradients do not cost their size 32 times.
const VALUES: usize = 1 << 22;

/// What `work` says of each part of `count` things, in order. `len` is the number of values that a
/// part keeps.
pub(super) fn of_parts<R: Send>(
    count: usize,
    len: usize,
    work: impl Fn(Range<usize>) -> R + Sync,
) -> Vec<R> {
    let parts = PARTS.min(count).min(VALUES / len.max(1)).max(1);
    (0..parts)
        .into_par_iter()
        .map(|index| work(part(count, index, parts)))
        .collect()
}

/// The sum of what `add` adds to `len` values for each part of `count` things.
pub(super) fn sum_of_parts<T: Copy + Default + AddAssign + Send>(
    count: usize,
    len: usize,
    add: impl Fn(Range<usize>, &mut [T]) + Sync,
) -> Vec<T> {
    let parts = of_parts(count, len, |range| {
        let mut values = vec![T::default(); len];
        add(range, &mut values);
        values
    });
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_default();
    for part in parts {
        for (sum, value) in sum.iter_mut().zip(part) {
            *sum += value;
        }
    }
    sum
}
