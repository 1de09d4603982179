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

/// The given number of threads, or else the number of cores.
pub(crate) fn or_all_cores(threads: Option<u64>) -> usize {
    match threads {
        Some(threads) => threads as usize,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    }
}
