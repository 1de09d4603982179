//! Thread pools of a chosen size.

use anyhow::{Context, Result};

/// Runs `work` on a pool of so many threads, or on the default pool.
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
