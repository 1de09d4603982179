//! Object detection on MobileNetV1: single-shot detectors (SSD) as TensorFlow's Object Detection API
//! has them.
//!
//! | module | content |
//! |---|---|
//! | [`bounds`] | rectangles |
//! | [`anchors`] | the boxes that a detector starts from |
//! | [`coder`] | boxes relative to anchors |
//! | [`suppression`] | of boxes that overlap, the best one stays |
//! | [`post_process`] | a network's numbers -> detections |
//! | [`options`] | the options of TFLite's operator for that |
//! | [`ssd`] | the network as data |

pub mod anchors;
pub mod bounds;
pub mod coder;
mod error;
pub mod options;
pub mod post_process;
pub mod ssd;
pub mod suppression;

pub use error::DetectError;
pub use post_process::{Detection, PostProcess, Suppression};
pub use ssd::SsdConfig;
