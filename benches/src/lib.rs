//! Shared by the benchmarks: the measured programs, the candle baseline, timing, and the protocol
//! with engines in other processes.

mod agreement;
mod candle_baseline;
mod protocol;
mod random_ssd;
mod samples;
mod step_program;
mod training_step;

pub use agreement::relative_difference;
pub use candle_baseline::CandleBaseline;
pub use mobilenet_cli::bench::{min_and_median, pixels};
pub use protocol::{AnyError, peak_rss_mb, serve};
pub use random_ssd::random_ssd;
pub use samples::{min_ms, time_ms};
pub use step_program::step_program;
pub use training_step::training_step;

/// The README's examples, compiled and run with the tests. They are in this package because some
/// use candle, and the facade's own tests and examples need not compile candle.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
