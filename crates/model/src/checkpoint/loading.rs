//! How a framework builds the network whose weights we write for it. A framework that has no such
//! network is told apart here, before a file is written that it would load and compute wrongly.

use super::metadata::{Activation, Metadata};
use super::name_map::Framework;
use crate::architecture::scaled_depth;
use crate::config::PaddingRule;
use crate::conv_defs::{ConvDef, MOBILENET_V1_CONV_DEFS};

/// The call, in the framework's own language, that builds the network for a file of
/// [`save_as`](super::save_as).
///
/// # Errors
/// A sentence, where the framework has no such network.
pub fn loading(framework: Framework, metadata: &Metadata) -> Result<String, String> {
    let Metadata {
        width,
        min_depth,
        batch_norm_epsilon: epsilon,
        padding,
        activation,
        ..
    } = metadata;
    let classes = metadata.classes.unwrap_or(0);
    let relu = *activation == Activation::Relu;
    let refuse = |what: String| Err(format!("{framework}'s MobileNetV1 has no {what}"));
    if metadata.folded && framework != Framework::Ours {
        return refuse("layers with batch normalisation folded into them".to_string());
    }
    let limited = matches!(
        framework,
        Framework::Slim | Framework::HuggingFace | Framework::Timm
    );
    if *padding == PaddingRule::Keras && limited {
        return refuse("padding as Keras has it".to_string());
    }
    if metadata.channel_multiplier != 1 && limited {
        return refuse(format!(
            "channel multiplier {}",
            metadata.channel_multiplier
        ));
    }
    let channels: Vec<(usize, usize)> = MOBILENET_V1_CONV_DEFS
        .iter()
        .map(|row| match *row {
            ConvDef::Conv { depth, .. } | ConvDef::DepthSepConv { depth, .. } => {
                (depth, scaled_depth(depth, *width, *min_depth))
            }
        })
        .collect();
    let rule: Option<fn(usize, f64) -> usize> = match framework {
        Framework::Timm => Some(timm_channels),
        Framework::Keras => Some(|depth, width| (depth as f64 * width) as usize),
        Framework::Ours
        | Framework::Slim
        | Framework::HuggingFace
        | Framework::KerasCounted
        | Framework::Graph => None,
    };
    if let Some(rule) = rule
        && let Some((depth, ours)) = channels
            .into_iter()
            .find(|&(depth, ours)| rule(depth, *width) != ours)
    {
        let theirs = rule(depth, *width);
        return refuse(format!(
            "layer of {ours} channels at width {width}, where it has {theirs}"
        ));
    }
    let same = *padding == PaddingRule::Same;
    Ok(match framework {
        Framework::KerasCounted | Framework::Graph => {
            return Err(format!("no file is written with the names of {framework}"));
        }
        Framework::Ours => "mobilenet_model::checkpoint::load".to_string(),
        Framework::Slim if relu => return refuse("ReLU without a limit".to_string()),
        Framework::Slim => format!(
            "slim.batch_norm epsilon={epsilon}; mobilenet_v1(num_classes={classes}, \
             depth_multiplier={width}, min_depth={min_depth}, use_explicit_padding={})",
            python(!same),
        ),
        Framework::HuggingFace => format!(
            "MobileNetV1Config(num_labels={classes}, depth_multiplier={width}, \
             min_depth={min_depth}, layer_norm_eps={epsilon}, tf_padding={}, hidden_act=\"{}\")",
            python(same),
            if relu { "relu" } else { "relu6" },
        ),
        Framework::Timm => format!(
            "mobilenetv1_100(num_classes={classes}, channel_multiplier={width}, \
             bn_eps={epsilon}, pad_type=\"{}\"{})",
            if same { "same" } else { "" },
            if relu { ", act_layer=\"relu\"" } else { "" },
        ),
        Framework::Keras => {
            if relu {
                return refuse("ReLU without a limit".to_string());
            }
            if *padding == PaddingRule::Explicit {
                return refuse("symmetric padding".to_string());
            }
            if *epsilon != KERAS_EPSILON {
                return refuse(format!(
                    "epsilon other than {KERAS_EPSILON}, this is {epsilon}"
                ));
            }
            format!(
                "keras.applications.MobileNet(alpha={width}, depth_multiplier={}, \
                 classes={classes}, classifier_activation=None, weights=None){}",
                metadata.channel_multiplier,
                if same {
                    ", for images of even sides only"
                } else {
                    ""
                },
            )
        }
    })
}

/// timm rounds channels to multiples of 8, but by no more than a tenth downwards.
fn timm_channels(depth: usize, width: f64) -> usize {
    let exact = depth as f64 * width;
    let rounded = ((exact + 4.0) as usize / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * exact {
        rounded + 8
    } else {
        rounded
    }
}

/// Keras' default, which its MobileNet does not let one change.
const KERAS_EPSILON: f64 = 1e-3;

fn python(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
