//! The number of threads, and rayon pools of that size.

#[cfg(feature = "candle")]
use anyhow::{Context, Result};

/// Runs `work`, which uses candle, on a rayon pool of `threads` threads. `None`: the default pool.
#[cfg(feature = "candle")]
pub(crate) fn install<T: Send>(
    threads: Option<u64>,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    match threads {
        None => work(),
        Some(threads) => rayon::ThreadPoolBuilder::new()
            .num_threads(threads as usize)
            .build()
            .context("cannot start the threads")?
            .install(work),
    }
}

/// The given number of threads, or else the number of cores. More than four times the cores only
/// take memory and wait for each other: that many are used then, with a warning.
pub(crate) fn or_all_cores(threads: Option<u64>) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let Some(threads) = threads else { return cores };
    let most = 4 * cores;
    if threads as usize > most {
        eprintln!("warning: {threads} threads on {cores} cores; {most} are used");
    }
    most.min(threads as usize)
}
