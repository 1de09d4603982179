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
//! | [`tflite`] | the parts of a detector in a quantised TFLite file |
//! | [`variables`] | an SSD's weights by TensorFlow's names |
//! | [`description`] | what a trained detector's file says of it |
//! | [`dequantize`] | the numbers that its integers mean |
//! | [`integers`], [`floats`] | plans of either number type |
//! | [`average_precision`] | how good detections are |
//! | [`voc_precision`] | the same by Pascal VOC's rule |
//! | [`labels`] | names of the classes |
//! | [`draw`] | boxes and labels on a photo |
//! | [`unpacked`] | a detector as files have it |
//! | [`weights`] | weights, anchors and rules together; plans that compute with them |
//! | `candle` | the network on candle (with the feature `candle`) |

pub mod anchors;
pub mod average_precision;
pub mod bounds;
#[cfg(feature = "candle")]
pub mod candle;
pub mod coder;
pub mod dequantize;
pub mod description;
pub mod draw;
mod error;
pub mod floats;
mod font;
pub mod graph;
pub mod integers;
pub mod labels;
pub mod options;
pub mod post_process;
mod predictors;
pub mod ssd;
pub mod suppression;
pub mod tflite;
pub mod unpacked;
pub mod variables;
pub mod voc_precision;
pub mod weights;

#[cfg(feature = "candle")]
pub use candle::SsdNetwork;
pub use description::DetectorDescription;
pub use error::DetectError;
pub use post_process::{Detection, PostProcess, Suppression};
pub use ssd::SsdConfig;
pub use unpacked::{UnpackedDetector, UnpackedFloats};
pub use weights::{Computation, DetectorPlan, DetectorWeights};
