//! Losses, measures, optimisers and whole steps equal those of TensorFlow, PyTorch, scikit-learn and
//! s2sphere.

#[allow(unreachable_pub, reason = "shared with the model's tests")]
#[path = "../../../model/tests/support/formula.rs"]
mod formula;
#[allow(dead_code, unreachable_pub, reason = "shared with the model's tests")]
#[path = "../../../model/tests/support/golden.rs"]
mod golden;
#[path = "../support/mod.rs"]
mod support;

mod detection_loss;
mod head;
mod heads;
mod losses;
mod metrics;
mod optimizers;
mod training_steps;
