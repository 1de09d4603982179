//! The browser's module as a native program: photos, networks, detectors, and what it refuses.

mod detector;
mod hostile_networks;
mod photos;
