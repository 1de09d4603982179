//! Losses, measures, optimisers and whole steps equal those of TensorFlow, PyTorch, scikit-learn and
//! s2sphere.

mod detection_loss;
mod head;
mod heads;
mod losses;
mod metrics;
mod optimizers;
mod training_steps;
