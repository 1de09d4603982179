//! A helpful word about a file that is no MobileNetV1: what it looks like, and which name may have
//! been meant.

use std::collections::HashSet;
use std::fmt;

use super::name_map::{NameMap, Names, training};
use super::report::LoadReport;
use crate::architecture::parameters;

/// Parts of names by which other networks are known.
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

/// So many tensors must bear a network's names.
const ENOUGH: usize = 3;

/// At most this many tensors are named.
const SHOWN: usize = 5;

/// Longer names than any network's are not compared: the time grows with the square.
const LONGEST: usize = 200;

/// Why a file does not fit, as far as names tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Misfit {
    /// The network that has such names.
    pub looks_like: Option<&'static str>,
    /// The first tensors that do not fit, each with the name that may have been meant.
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
    /// Of a file with the first convolution of no framework.
    pub(super) fn of_unknown<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Self {
        let maps: Vec<NameMap> = NameMap::all().collect();
        let maps: Vec<&dyn Names> = maps.iter().map(|map| map as &dyn Names).collect();
        Self::among(names, &maps)
    }

    /// Of a file with the first convolution of a framework and the shapes of no MobileNetV1.
    pub(super) fn of_network<'a>(
        names: impl Iterator<Item = &'a str> + Clone,
        map: &dyn Names,
    ) -> Self {
        Self::among(names, &[map])
    }

    /// The names that none of the frameworks has.
    fn among<'a>(names: impl Iterator<Item = &'a str> + Clone, maps: &[&dyn Names]) -> Self {
        let known: HashSet<String> = maps.iter().flat_map(|map| expected(*map)).collect();
        let strange = names.clone().filter(|&name| {
            !known.contains(name)
                && training::of(name).is_none()
                && !maps.iter().any(|map| map.is_bookkeeping(name))
        });
        // In order, so that of names equally near the same is always proposed.
        let mut sorted: Vec<String> = known.iter().cloned().collect();
        sorted.sort();
        Self {
            looks_like: looks_like(names),
            tensors: suggest(strange, &sorted),
        }
    }

    /// Of a file in which some parameters are missing: only tensors for which there is a guess, as
    /// the report names the others.
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

/// All names of a network of width 1.
fn expected(map: &dyn Names) -> Vec<String> {
    parameters(&map.defaults().config())
        .unwrap_or_default()
        .into_iter()
        .flat_map(|parameter| map.names(parameter.layer, parameter.part))
        .collect()
}

/// The network of which most tensors bear the names.
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

/// The first names, each with the nearest of the known ones, if it is near.
fn suggest<'a>(
    names: impl Iterator<Item = &'a str>,
    known: &[String],
) -> Vec<(String, Option<String>)> {
    names
        .take(SHOWN)
        .map(|name| {
            let shown: String = name.chars().take(LONGEST).collect();
            let nearest = known
                .iter()
                .map(|known| (strsim::levenshtein(&shown, known), known))
                .min_by_key(|&(distance, _)| distance)
                // Beyond a quarter of the name it is another one.
                .filter(|&(distance, known)| 4 * distance <= known.len())
                .map(|(_, known)| known.clone());
            (shown, nearest)
        })
        .collect()
}
