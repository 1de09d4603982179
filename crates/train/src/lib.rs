//! Training of MobileNetV1 after slim's scripts: data and its augmentation, the learning rate.

pub mod augment;
pub mod data;
mod schedule;

pub use schedule::ExponentialDecay;
