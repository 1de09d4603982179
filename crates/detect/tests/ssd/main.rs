//! Detection against LiteRT, TensorFlow, pycocotools and VOC's own numbers.

#[path = "../support/mod.rs"]
mod support;

mod anchors;
mod average_precision;
mod face_api;
mod post_process;
mod real_ssd;
mod ssd_graph;
mod ssd_onnx;
mod suppression;
mod tiny_ssd;
mod voc_precision;
