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

#[cfg(test)]
mod tests {
    use super::*;

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
