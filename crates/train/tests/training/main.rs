//! Training: steps and losses against other frameworks, several ranks, integers, detectors, and what
//! it writes.

#[allow(unreachable_pub, reason = "shared with the model's tests")]
#[path = "../../../model/tests/support/formula.rs"]
mod formula;
#[allow(dead_code, unreachable_pub, reason = "shared with the model's tests")]
#[path = "../../../model/tests/support/golden.rs"]
mod golden;
#[allow(unreachable_pub, reason = "an example uses the module, too")]
#[path = "../support/shapes.rs"]
mod shapes;
#[allow(unreachable_pub, reason = "shared with the model's tests")]
#[path = "../../../model/tests/support/skipped.rs"]
mod skipped;
mod support;

#[cfg(feature = "report")]
mod detection;
mod frameworks;
mod quantization;
mod ranks;
#[cfg(feature = "report")]
mod report;
mod tensorboard;
