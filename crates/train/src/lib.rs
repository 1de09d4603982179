//! Training of MobileNetV1 after slim's scripts. So far the learning rate schedule.

mod schedule;

pub use schedule::ExponentialDecay;
