//! MobileNetV1 ("MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
//! Applications", arXiv 1704.04861) on candle, after Google's TF-slim code.
//!
//! | module | what |
//! |---|---|
//! | [`conv_defs`] | the architecture as a table |
//! | [`config`] | every argument of slim's functions |
//! | [`architecture`] | arguments applied to the table: layers and parameters |
//! | [`mobilenet_v1`] | the network on candle |
//! | [`fold`] | batch normalisation folded into the weights |
//! | [`plan`] | the network without candle: folded, packed, planned for one input size |
//! | [`flat`] | all parameters in one vector |
//! | [`training_plan`] | the network in training without candle: logits and gradients |
//! | [`inspect`] | parameters and multiply-adds of every layer |
//! | [`initialize`] | initial weights from a seed |
//! | [`checkpoint`] | files of several frameworks -> parameters, and back to ours |
//! | [`preprocess`] | photo -> pixels |
//! | [`labels`] | class numbers -> names |
//! | [`prediction`] | logits -> the best classes |

pub mod architecture;
pub mod checkpoint;
pub mod config;
pub mod conv_defs;
mod dropout;
pub mod endpoint;
mod error;
pub mod flat;
pub mod fold;
pub mod initialize;
pub mod inspect;
pub mod labels;
pub mod mobilenet_v1;
pub mod plan;
pub mod prediction;
pub mod preprocess;
pub mod training_plan;

pub use config::{
    ArgScope, BaseConfig, DEFAULT_IMAGE_SIZE, MobileNetV1Config, PaddingRule, WeightInitializer,
};
pub use conv_defs::{ConvDef, MOBILENET_V1_CONV_DEFS};
pub use dropout::Dropout;
pub use endpoint::{Endpoint, Endpoints, LayerKind};
pub use error::ModelError;
pub use flat::FlatLayout;
pub use mobilenet_ops::Normalizer;
pub use mobilenet_v1::{MobileNetV1, MobileNetV1Base};
pub use plan::{InferencePlan, PlanOptions, PlanOutput, PlanWeights};
pub use prediction::Prediction;
pub use training_plan::{TrainingPass, TrainingPlan, TrainingPlanOptions};
