//! An engine's side of the protocol with `cargo xtask report`; see `benches/peers/README.md`.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use crate::samples::time_ms;

/// Any error of an engine.
pub type AnyError = Box<dyn Error + Send + Sync>;

/// Serves one engine: `load` returns a function that computes the logits once.
///
/// # Errors
/// If loading or running fails, or a request cannot be parsed.
pub fn serve<R>(version: &str, load: impl FnOnce() -> Result<R, AnyError>) -> Result<(), AnyError>
where
    R: FnMut() -> Result<Vec<f32>, AnyError>,
{
    let start = Instant::now();
    let mut run = load()?;
    let logits = run()?;
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    let mut out = std::io::stdout();
    writeln!(
        out,
        r#"{{"version": "{version}", "load_ms": {load_ms}, "logits": {logits:?}}}"#
    )?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut numbers = line.split_whitespace().skip(1);
        let count = numbers.next().ok_or("run how often?")?.parse()?;
        let pause = Duration::from_millis(numbers.next().unwrap_or("0").parse()?);
        let mut times = Vec::new();
        for _ in 0..count {
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
            times.push(time_ms(&mut run)?);
        }
        writeln!(out, "{times:?}")?;
        out.flush()?;
    }
    writeln!(out, r#"{{"peak_rss_mb": {}}}"#, peak_rss_mb())?;
    Ok(())
}

/// Largest resident memory of this process so far, in MiB; 0 if the system does not report it.
pub fn peak_rss_mb() -> f64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
            line.split_whitespace().nth(1)?.parse::<f64>().ok()
        })
        .map_or(0.0, |kib| kib / 1024.0)
}
