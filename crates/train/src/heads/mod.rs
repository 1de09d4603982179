//! Networks whose last layer tells no classes (sections 4.5 and 4.7 of the paper): how good they are.
//! Their losses are in [`crate::loss`], and they train as classifiers do ([`crate::run`]).

mod evaluation;
mod outputs;

pub use evaluation::{HeadMetrics, HeadOutcome, evaluate, evaluate_pairs};

/// Shares of false accepts for which true accepts are told.
pub const FALSE_ACCEPTS: [f64; 4] = [1e-1, 1e-2, 1e-3, 1e-4];
