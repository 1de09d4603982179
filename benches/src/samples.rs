//! Times of repeated runs, in milliseconds.

use std::time::Instant;

/// Runs `run` once and returns its time.
///
/// # Errors
/// The error of `run`.
pub fn time_ms<T, E>(run: impl FnOnce() -> Result<T, E>) -> Result<f64, E> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// The shortest time of `count` runs; infinite for none.
///
/// # Errors
/// The first error of `run`.
pub fn min_ms<T, E>(count: usize, mut run: impl FnMut() -> Result<T, E>) -> Result<f64, E> {
    (0..count).try_fold(f64::INFINITY, |min, _| Ok(min.min(time_ms(&mut run)?)))
}

/// Minimum and median. Of an even number of times the median is the upper one. NaN without times.
pub fn min_and_median(times: &[f64]) -> (f64, f64) {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    (at(0), at(sorted.len() / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimum_and_upper_median() {
        assert_eq!(min_and_median(&[3.0, 1.0, 2.0]), (1.0, 2.0));
        assert_eq!(min_and_median(&[4.0, 1.0, 3.0, 2.0]), (1.0, 3.0));
        assert!(min_and_median(&[]).0.is_nan());
    }

    #[test]
    fn errors_end_the_runs() {
        let mut runs = 0;
        let result = min_ms(5, || {
            runs += 1;
            if runs == 3 { Err("stop") } else { Ok(()) }
        });
        assert_eq!((result, runs), (Err("stop"), 3));
    }
}
