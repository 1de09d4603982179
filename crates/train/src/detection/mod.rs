//! Training of single-shot detectors.
//!
//! | module | content |
//! |---|---|
//! | [`augment`] | random changes of photos with boxes |
//! | [`targets`] | which anchor is to predict which object |
//! | [`mining`] | which anchors without an object count |
//! | [`loss`] | the loss of classes and boxes, and its gradients |
//! | [`layout`] | the parameters in one vector |
//! | [`network`] | the network in training |
//! | [`trainer`] | one step at a time |
//! | [`evaluation`], [`mistakes`] | how good a detector is |
//! | [`save`](mod@save) | a trained detector's file |
//! | [`run`](mod@run) | a whole training |
//! | [`settings`] | what a recipe says of detectors |

pub mod augment;
mod compared;
pub mod evaluation;
mod heads;
pub mod layout;
pub mod loss;
pub mod mining;
pub mod mistakes;
pub mod network;
mod photos;
#[cfg(feature = "report")]
pub mod report;
pub mod run;
pub mod save;
pub mod settings;
pub mod targets;
pub mod trainer;
