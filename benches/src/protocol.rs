//! What an engine says and hears when `cargo xtask report` compares it with others; see
//! `benches/peers/README.md`.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

/// Whatever an engine may fail with.
pub type AnyError = Box<dyn Error + Send + Sync>;

/// Runs one engine: `load` gives a function that computes the logits once.
///
/// # Errors
/// Whatever loading or running gives, and a caller that cannot be understood.
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
        let count: usize = line.trim_start_matches("run ").trim().parse()?;
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let start = Instant::now();
            run()?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        writeln!(out, "{times:?}")?;
        out.flush()?;
    }
    writeln!(out, r#"{{"peak_rss_mb": {}}}"#, peak_rss_mb())?;
    Ok(())
}

/// Largest resident memory of this process so far, in MiB; 0 where the system does not tell.
pub fn peak_rss_mb() -> f64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
            line.split_whitespace().nth(1)?.parse::<f64>().ok()
        })
        .map_or(0.0, |kib| kib / 1024.0)
}
