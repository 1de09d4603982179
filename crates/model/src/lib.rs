//! MobileNetV1 ("MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
//! Applications", arXiv 1704.04861), after Google's TF-slim code: architecture, weights, inference
//! and training. The feature `candle` adds the network on candle.
//!
//! | module | content |
//! |---|---|
//! | [`conv_defs`] | the architecture as a table |
//! | [`structure`] | MobileNet, and the two networks that differ from it in `conv_defs` alone |
//! | [`config`] | the arguments of slim's functions |
//! | [`architecture`] | layers and parameters of a configuration |
//! | [`mod@array`], [`npy`], [`mod@file`] | arrays, in memory and in files: the crate `mobilenet-arrays` |
//! | [`fold`] | folding of batch normalisation into weights |
//! | [`plan`] | inference: weights folded and packed, work planned for one input size |
//! | [`quantized`] | inference in 8-bit integers, to the bits of LiteRT |
//! | [`network`] | inference in either number type |
//! | [`flat`] | all parameters in one vector |
//! | [`training_plan`] | training: logits and gradients |
//! | [`inspect`] | parameters and multiply-adds of every layer |
//! | [`initialize`] | initial weights from a seed |
//! | [`checkpoint`] | loading and writing files of weights of several frameworks |
//! | [`prior_work`] | SqueezeNet, Xception and others, with which the paper compares, as data |
//! | [`preprocess`] | from a photo to the network's input: the crate `mobilenet-photos` |
//! | [`pooling`] | pooling before the classifier |
//! | [`labels`] | from class numbers to names, and back |
//! | [`prediction`] | from logits to the best classes |
//! | [`explain`] | which parts of a photo speak for a class |
//! | `candle` | the network on candle |

pub mod architecture;
#[cfg(feature = "candle")]
pub mod candle;
pub mod checkpoint;
pub mod config;
pub mod conv_defs;
pub mod endpoint;
mod error;
pub mod explain;
pub mod flat;
pub mod fold;
pub mod head;
pub mod initialize;
pub mod inspect;
pub mod labels;
pub mod network;
pub mod plan;
mod pooled_output;
pub mod pooling;
pub mod prediction;
pub mod prior_work;
pub mod quantized;
pub mod structure;
pub mod suggest;
pub mod training_plan;

#[cfg(feature = "candle")]
pub use candle::{Dropout, Endpoints, MobileNetV1, MobileNetV1Base};
pub use config::{
    ArgScope, BaseConfig, DEFAULT_IMAGE_SIZE, MobileNetV1Config, PaddingRule, WeightInitializer,
};
pub use conv_defs::{ConvDef, MOBILENET_V1_CONV_DEFS};
pub use endpoint::{Endpoint, LayerKind};
pub use error::ModelError;
pub use flat::FlatLayout;
pub use head::Head;
pub use mobilenet_arrays::{Array, array, buffer, file, little_endian, mapped_file, npy};
pub use mobilenet_kernels::Normalizer;
pub use mobilenet_photos as preprocess;
pub use network::{NetworkPlan, NetworkWeights};
pub use plan::{InferencePlan, PlanOptions, PlanOutput, PlanWeights};
pub use prediction::Prediction;
pub use quantized::{IntegerPlan, IntegerPlanOptions, IntegerPlanOutput, QuantizedWeights};
pub use structure::Structure;
pub use training_plan::{TrainingPass, TrainingPlan, TrainingPlanOptions};
