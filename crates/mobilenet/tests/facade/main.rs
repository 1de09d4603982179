//! The facade: classifiers, detectors, many photos, and weights that are known.

#[cfg(any(feature = "hub", feature = "train"))]
#[allow(unreachable_pub, reason = "shared with the model's tests")]
#[path = "../../../model/tests/support/skipped.rs"]
mod skipped;

#[cfg(feature = "detect")]
mod detector;
mod explain;
#[cfg(feature = "train")]
mod fashion_mnist;
mod integers;
mod photo_files;
mod posenet;
#[cfg(feature = "hub")]
mod real_weights;
