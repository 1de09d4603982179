//! MobileNetV1 ("MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
//! Applications", arXiv 1704.04861), after Google's TF-slim code: architecture, weights,
//! inference and training; the network on candle behind the feature `candle`.
//!
//! | module | what |
//! |---|---|
//! | [`conv_defs`] | the architecture as a table |
//! | [`config`] | every argument of slim's functions |
//! | [`architecture`] | arguments applied to the table: layers and parameters |
//! | [`mod@array`] | sizes and values: what parameters are |
//! | [`mod@file`] | files that appear whole or not at all |
//! | [`fold`] | batch normalisation folded into the weights |
//! | [`plan`] | inference: folded, packed, planned for one input size |
//! | [`flat`] | all parameters in one vector |
//! | [`training_plan`] | training: logits and gradients |
//! | [`inspect`] | parameters and multiply-adds of every layer |
//! | [`initialize`] | initial weights from a seed |
//! | [`checkpoint`] | files of several frameworks -> parameters, and back to ours |
//! | [`npy`] | NumPy's arrays in files |
//! | [`preprocess`] | photo -> pixels |
//! | [`labels`] | class numbers -> names, and back |
//! | [`fingerprint`] | which photos are the same, stored again |
//! | [`prediction`] | logits -> the best classes |
//! | `candle` | the network on candle |

pub mod architecture;
pub mod array;
#[cfg(feature = "candle")]
pub mod candle;
pub mod checkpoint;
pub mod config;
pub mod conv_defs;
pub mod endpoint;
mod error;
pub mod file;
pub mod fingerprint;
pub mod flat;
pub mod fold;
pub mod initialize;
pub mod inspect;
pub mod labels;
pub mod npy;
pub mod plan;
mod pooling;
pub mod prediction;
pub mod preprocess;
pub mod training_plan;

pub use array::Array;
#[cfg(feature = "candle")]
pub use candle::{Dropout, Endpoints, MobileNetV1, MobileNetV1Base};
pub use config::{
    ArgScope, BaseConfig, DEFAULT_IMAGE_SIZE, MobileNetV1Config, PaddingRule, WeightInitializer,
};
pub use conv_defs::{ConvDef, MOBILENET_V1_CONV_DEFS};
pub use endpoint::{Endpoint, LayerKind};
pub use error::ModelError;
pub use flat::FlatLayout;
pub use mobilenet_kernels::Normalizer;
pub use plan::{InferencePlan, PlanOptions, PlanOutput, PlanWeights};
pub use prediction::Prediction;
pub use training_plan::{TrainingPass, TrainingPlan, TrainingPlanOptions};
