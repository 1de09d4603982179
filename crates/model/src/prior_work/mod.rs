//! Networks with which the paper compares MobileNet, and those from which it comes, as data.
//!
//! | file | networks |
//! |---|---|
//! | `mobilenets` | Conv MobileNet and Shallow MobileNet (tables 4 and 5), by `conv_defs` |
//! | `squeezenet` | SqueezeNet 1.0 and 1.1 |
//! | `xception` | Xception |
//! | `flattened` | a MobileNet of flattened convolutions |
//! | `alexnet`, `vgg` | AlexNet, VGG 16 |
//! | `googlenet`, `inception_v3` | GoogLeNet, Inception V3 |
//! | `network`, `shapes` | what a network is; the shapes of its maps |
//! | `cost`, `parameters` | parameters and multiply-adds; names, shapes and initial values |
//!
//! All have 1000 classes. The names of layers and parameters are those of a framework that has the
//! network. With the feature `candle`, [`crate::candle::PriorNetwork`] computes and trains those
//! without groups and local response normalisation.

mod alexnet;
mod cost;
mod flattened;
mod googlenet;
mod inception_v3;
mod mobilenets;
pub mod network;
mod parameters;
mod shapes;
mod squeezenet;
mod vgg;
mod xception;

pub use cost::cost;
pub use mobilenets::{conv_mobilenet, shallow_mobilenet};
pub use network::Network;
#[cfg(feature = "candle")]
pub(crate) use parameters::{IN_CHANNELS, channels_after};
pub use parameters::{initial_parameters, parameters};
pub use shapes::{MapShape, walk};

use crate::config::DEFAULT_IMAGE_SIZE;
use crate::error::ModelError;
use crate::inspect::{Summary, summary};

/// Names of all networks.
pub const NAMES: [&str; 10] = [
    "conv_mobilenet",
    "shallow_mobilenet",
    "squeezenet1_0",
    "squeezenet1_1",
    "xception",
    "flattened_mobilenet",
    "alexnet",
    "vgg16",
    "googlenet",
    "inception_v3",
];

/// The network with this name, if it is one of [`NAMES`] and a tree of layers. Conv and Shallow
/// MobileNet are configurations of MobileNet instead.
pub fn network(name: &str) -> Option<Network> {
    Some(match name {
        "squeezenet1_0" => squeezenet::squeezenet1_0(),
        "squeezenet1_1" => squeezenet::squeezenet1_1(),
        "xception" => xception::xception(),
        "flattened_mobilenet" => flattened::flattened_mobilenet(),
        "alexnet" => alexnet::alexnet(),
        "vgg16" => vgg::vgg16(),
        "googlenet" => googlenet::googlenet(),
        "inception_v3" => inception_v3::inception_v3(),
        _ => return None,
    })
}

/// The cost of the network with this name, for images of this size (rows, columns) or else of the
/// size that it was published for.
///
/// # Errors
/// If the name is none of [`NAMES`], or the images are too small.
pub fn summary_of(name: &str, size: Option<[usize; 2]>) -> Result<Summary, ModelError> {
    if let Some(network) = network(name) {
        let [height, width] = size.unwrap_or([network.resolution; 2]);
        return cost(&network, height, width);
    }
    let mut config = match name {
        "conv_mobilenet" => conv_mobilenet(),
        "shallow_mobilenet" => shallow_mobilenet(),
        _ => {
            return Err(ModelError::Setting {
                setting: "the network",
                range: "one of prior_work::NAMES",
                found: name.to_string(),
            });
        }
    };
    config.global_pool = size.is_some();
    let [height, width] = size.unwrap_or([DEFAULT_IMAGE_SIZE; 2]);
    summary(&config, height, width)
}
