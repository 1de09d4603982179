//! The sum of squares of a slice, with the same bits for any number of threads.

use rayon::prelude::*;

/// Number of values of one partial sum. It is fixed, so that the order of summation is fixed too.
pub(super) const CHUNK: usize = 1 << 14;

/// Sum in f64. Its order does not depend on threads.
pub(super) fn sum_of_squares(values: &[f32]) -> f64 {
    let partial: Vec<f64> = values.par_chunks(CHUNK).map(of_chunk).collect();
    partial.iter().sum()
}

/// The sum of a chunk. Eight running sums, so that the loop vectorises.
pub(super) fn of_chunk(chunk: &[f32]) -> f64 {
    let (blocks, rest) = chunk.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for block in blocks {
        for (sum, &value) in sums.iter_mut().zip(block) {
            *sum += f64::from(value) * f64::from(value);
        }
    }
    let rest = rest
        .iter()
        .map(|&value| f64::from(value) * f64::from(value));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_do_not_change_the_norm() {
        let values: Vec<f32> = (0..100_003).map(|i| (i as f32 * 0.37).sin()).collect();
        let norm = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| sum_of_squares(&values))
        };
        assert_eq!(norm(1), norm(4));
    }
}
