//! Data sets, augmentation and batches.

mod annotations;
mod augmentation;
mod datasets;
mod hostile_data;
mod loader;
