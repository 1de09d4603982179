//! Hints for a file that is not a MobileNetV1: which network it may be, and which tensor names may
//! have been meant.

use std::collections::HashSet;
use std::fmt;

use super::name_map::{NameMap, Names, training};
use super::report::LoadReport;
use crate::architecture::parameters;
use crate::suggest::nearest;

/// Parts of tensor names that are typical of other networks.
const NETWORKS: [(&str, &[&str]); 10] = [
    (
        "MobileNetV2",
        &[
            "MobilenetV2/",
            "mobilenet_v2.",
            "expanded_conv/",
            "_project_BN/",
            "features.1.conv.",
            "features.2.conv.",
        ],
    ),
    (
        "MobileNetV3",
        &[
            "MobilenetV3/",
            "mobilenet_v3.",
            "squeeze_excite",
            "features.2.block.",
            "features.4.block.",
        ],
    ),
    (
        "a network of inverted residuals, such as MobileNetV2, V3 or EfficientNet",
        &[".conv_pwl."],
    ),
    (
        "EfficientNet",
        &[
            "efficientnet",
            "._depthwise_conv.",
            "stem_conv/",
            "block1a_",
        ],
    ),
    (
        "ResNet",
        &[
            "layer1.0.",
            "layer2.0.",
            "layer3.0.",
            "layer4.0.",
            "resnet_v1_",
            "resnet_v2_",
            "resnet.encoder.",
            "conv2_block",
            "conv3_block",
            "conv4_block",
        ],
    ),
    (
        "VGG",
        &[
            "vgg_16/",
            "vgg_19/",
            "block1_conv",
            "block5_conv",
            "features.28.",
        ],
    ),
    (
        "Inception",
        &[
            "InceptionV",
            "Mixed_5b",
            "Mixed_6a",
            "inception_v3",
            "mixed1",
        ],
    ),
    ("DenseNet", &["denseblock", "conv2_block1_0_bn"]),
    ("SqueezeNet", &[".squeeze.weight", ".expand1x1.", "fire2/"]),
    (
        "a vision transformer",
        &[
            "cls_token",
            ".attn.qkv.",
            ".attention.query.",
            "encoder_layer_0.",
        ],
    ),
];

/// So many tensors must have a network's names.
const ENOUGH: usize = 3;

/// At most this many tensors are listed.
const SHOWN: usize = 5;

/// Longest names that are compared, because the time of a comparison grows with the square.
const LONGEST: usize = 200;

/// Hints from the names in a file that does not fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Misfit {
    /// The network whose tensors have such names.
    pub looks_like: Option<&'static str>,
    /// The first tensors that do not fit, each with a similar known name.
    pub tensors: Vec<(String, Option<String>)>,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(network) = self.looks_like {
            write!(f, "\n  it looks like {network}")?;
        }
        for (name, meant) in &self.tensors {
            write!(f, "\n  `{}` does not fit", name.escape_debug())?;
            if let Some(meant) = meant {
                write!(f, "; did you mean `{meant}`?")?;
            }
        }
        Ok(())
    }
}

impl Misfit {
    /// Hints for a file without the first convolution of any framework.
    pub(super) fn of_unknown<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Self {
        let maps: Vec<NameMap> = NameMap::all().collect();
        let maps: Vec<&dyn Names> = maps.iter().map(|map| map as &dyn Names).collect();
        Self::among(names, &maps)
    }

    /// Hints for a file with a framework's first convolution, but the shapes of another network.
    pub(super) fn of_network<'a>(
        names: impl Iterator<Item = &'a str> + Clone,
        map: &dyn Names,
    ) -> Self {
        Self::among(names, &[map])
    }

    /// Hints by the names that none of the frameworks has.
    fn among<'a>(names: impl Iterator<Item = &'a str> + Clone, maps: &[&dyn Names]) -> Self {
        let known: HashSet<String> = maps.iter().flat_map(|map| expected(*map)).collect();
        let strange = names.clone().filter(|&name| {
            !known.contains(name)
                && training::of(name).is_none()
                && !maps.iter().any(|map| map.is_bookkeeping(name))
        });
        // Sorted, so that of equally similar names always the same is proposed.
        let mut sorted: Vec<String> = known.iter().cloned().collect();
        sorted.sort();
        Self {
            looks_like: looks_like(names),
            tensors: suggest(strange, &sorted),
        }
    }

    /// Hints for a file that lacks parameters. Lists only tensors with a similar name, because the
    /// report lists the others.
    pub(super) fn of_report(report: &LoadReport) -> Self {
        let unused = report.unused.iter().map(String::as_str);
        let applied = report.applied.iter().map(|a| a.source.as_str());
        let mut tensors = suggest(unused.clone(), &report.missing);
        tensors.retain(|(_, meant)| meant.is_some());
        Self {
            looks_like: looks_like(unused.chain(applied)),
            tensors,
        }
    }
}

/// All tensor names of a network of width 1.
fn expected(map: &dyn Names) -> Vec<String> {
    parameters(&map.defaults().config())
        .unwrap_or_default()
        .into_iter()
        .flat_map(|parameter| map.names(parameter.layer, parameter.part))
        .collect()
}

/// The network whose names most tensors have.
fn looks_like<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<&'static str> {
    NETWORKS
        .iter()
        .map(|(network, parts)| {
            let bears = |name: &&str| parts.iter().any(|part| name.contains(part));
            (names.clone().filter(bears).count(), *network)
        })
        .filter(|&(count, _)| count >= ENOUGH)
        .max_by_key(|&(count, _)| count)
        .map(|(_, network)| network)
}

/// The first names, each with the most similar known name, if one is similar enough.
fn suggest<'a>(
    names: impl Iterator<Item = &'a str>,
    known: &[String],
) -> Vec<(String, Option<String>)> {
    names
        .take(SHOWN)
        .map(|name| {
            let shown: String = name.chars().take(LONGEST).collect();
            let nearest = nearest(&shown, known.iter().map(String::as_str));
            let nearest = nearest.map(str::to_string);
            (shown, nearest)
        })
        .collect()
}
