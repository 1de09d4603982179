//! Photo files and their preprocessing.

#[path = "../support/mod.rs"]
mod support;

mod odd_photos;
mod preprocessing;
mod reduced_photos;
