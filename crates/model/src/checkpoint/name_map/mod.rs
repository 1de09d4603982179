//! What each framework calls our parameters, and in which layout it keeps them; one file a
//! framework. What its files do not say about themselves (epsilon, padding, preprocessing) is
//! here as well, since it follows from the framework.

pub(super) mod graph_order;
mod hugging_face;
mod keras;
mod keras_counted;
mod ours;
mod slim;
mod timm;
pub(super) mod training;

use graph_order::GraphOrder;

use std::fmt;

use super::layout::Layout;
use super::metadata::Metadata;
use crate::architecture::{LayerName, Parameter, Part};
use crate::endpoint::LayerKind;

/// Whose names they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framework {
    /// This project.
    Ours,
    /// TF-slim, and TensorFlow.js where it runs slim's graph.
    Slim,
    /// Hugging Face transformers' `MobileNetV1ForImageClassification`, or the bare model.
    HuggingFace,
    /// timm's `mobilenetv1_*`.
    Timm,
    /// Keras' `MobileNet`, in its own files, in SavedModels and in TensorFlow.js.
    Keras,
    /// Keras' counters, in networks whose layers have no names.
    KerasCounted,
    /// Whatever the names: the order of operations.
    Graph,
}

impl fmt::Display for Framework {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "this project",
            Self::Slim => "TF-slim",
            Self::HuggingFace => "Hugging Face transformers",
            Self::Timm => "timm",
            Self::Keras | Self::KerasCounted => "Keras",
            Self::Graph => "its own graph",
        })
    }
}

impl Framework {
    /// Every framework that is recognised by its names.
    pub const ALL: [Self; 6] = [
        Self::Ours,
        Self::Slim,
        Self::HuggingFace,
        Self::Timm,
        Self::Keras,
        Self::KerasCounted,
    ];

    /// Whether its networks are PyTorch's modules.
    pub(super) fn is_pytorch(self) -> bool {
        matches!(self, Self::HuggingFace | Self::Timm)
    }

    /// Names of the weights of the first convolution: by them a framework is recognised.
    fn first(self) -> &'static [&'static str] {
        match self {
            Self::Ours => &["Conv2d_0.weight"],
            Self::Slim => &["Conv2d_0/weights"],
            Self::HuggingFace => &["conv_stem.convolution.weight"],
            Self::Timm => &["conv_stem.weight"],
            Self::Keras => &["conv1/kernel", "conv1/vars/0"],
            Self::KerasCounted => &["conv2d/kernel", "conv2d/vars/0"],
            Self::Graph => &[],
        }
    }
}

/// Whose names a file uses, and what stands before all of them: the scope of a graph
/// (`MobilenetV1/`, which may be nested: `FeatureExtractor/MobilenetV1/`), the keys and modules of
/// PyTorch (`state_dict.module.`), or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameMap {
    framework: Framework,
    prefix: String,
    averages: bool,
    /// Where the names come from if the framework is [`Framework::Graph`]; else empty.
    order: GraphOrder,
}

impl fmt::Display for NameMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.framework.fmt(f)
    }
}

impl NameMap {
    /// A framework's names as the framework itself writes them.
    pub fn new(framework: Framework) -> Self {
        let prefix = match framework {
            Framework::Slim => slim::SCOPE,
            Framework::HuggingFace => hugging_face::PREFIX,
            Framework::Ours
            | Framework::Timm
            | Framework::Keras
            | Framework::KerasCounted
            | Framework::Graph => "",
        };
        Self {
            framework,
            prefix: prefix.to_string(),
            averages: false,
            order: GraphOrder::default(),
        }
    }

    /// The names that following a graph has found.
    pub(super) fn of_graph(order: GraphOrder) -> Self {
        Self {
            order,
            ..Self::new(Framework::Graph)
        }
    }

    /// Recognises a framework by the name of the first convolution. Of several copies the one with
    /// the shortest prefix is the network, and longer ones are inside something larger; but with
    /// `averages`, a copy whose prefix says that it is an average comes first.
    pub fn detect<'a>(
        names: impl Iterator<Item = &'a str> + Clone,
        averages: bool,
    ) -> Option<Self> {
        Framework::ALL.into_iter().find_map(|framework| {
            let prefixes = names
                .clone()
                .filter_map(|name| {
                    let mut first = framework.first().iter();
                    first.find_map(|suffix| name.strip_suffix(suffix))
                })
                .filter(|prefix| prefix.is_empty() || prefix.ends_with(['/', '.']));
            let prefix = prefixes.min_by_key(|prefix| {
                let average = training::of(prefix) == Some(training::AVERAGES);
                (average != averages, prefix.len())
            })?;
            Some(Self {
                framework,
                prefix: prefix.to_string(),
                averages,
                order: GraphOrder::default(),
            })
        })
    }

    /// The framework.
    pub fn framework(&self) -> Framework {
        self.framework
    }

    /// What the framework calls a tensor; where it may have several names, the likeliest first.
    pub fn names(&self, layer: LayerName, part: Part) -> Vec<String> {
        let prefix = &self.prefix;
        match self.framework {
            Framework::Ours => ours::names(prefix, layer, part),
            Framework::Slim => slim::names(prefix, layer, part),
            Framework::HuggingFace => hugging_face::names(prefix, layer, part),
            Framework::Timm => timm::names(prefix, layer, part),
            Framework::Keras => keras::names(prefix, layer, part),
            Framework::KerasCounted => keras_counted::names(prefix, layer, part),
            Framework::Graph => self.order.names(layer, part),
        }
    }

    /// [`NameMap::names`], with the averages before them where those are wanted.
    pub(super) fn candidates(&self, layer: LayerName, part: Part) -> Vec<String> {
        let names = self.names(layer, part);
        let averages = names
            .iter()
            .filter(|_| self.averages)
            .map(|name| format!("{name}{}", training::SHADOW));
        averages.chain(names.iter().cloned()).collect()
    }

    /// How the framework lays out a parameter.
    pub(super) fn layout(&self, parameter: &Parameter) -> Layout {
        self.layout_of(parameter.layer, parameter.part)
    }

    pub(super) fn layout_of(&self, layer: LayerName, part: Part) -> Layout {
        if part != Part::Weights {
            return Layout::Same;
        }
        let depthwise =
            matches!(layer, LayerName::Body(endpoint) if endpoint.kind == LayerKind::Depthwise);
        match self.framework {
            Framework::Graph => self.order.layout(layer, part),
            Framework::Slim | Framework::Keras | Framework::KerasCounted if depthwise => {
                Layout::Hwcm
            }
            Framework::KerasCounted if layer == LayerName::Logits => Layout::Dense,
            Framework::Slim | Framework::Keras | Framework::KerasCounted => Layout::Hwio,
            Framework::HuggingFace | Framework::Timm if layer == LayerName::Logits => {
                Layout::Linear
            }
            Framework::Ours | Framework::HuggingFace | Framework::Timm => Layout::Same,
        }
    }

    /// Tensors that belong to the network and hold no parameter of it: not worth a report.
    pub(super) fn is_bookkeeping(&self, name: &str) -> bool {
        match self.framework {
            Framework::Slim => slim::is_bookkeeping(name),
            Framework::HuggingFace | Framework::Timm => name.ends_with(BATCHES),
            Framework::Graph => self.order.is_bookkeeping(name),
            Framework::Ours | Framework::Keras | Framework::KerasCounted => false,
        }
    }

    /// What holds for a network of this framework where nothing else is said.
    pub(super) fn defaults(&self) -> Metadata {
        match self.framework {
            Framework::Ours | Framework::Slim => slim::defaults(),
            Framework::HuggingFace => hugging_face::defaults(),
            Framework::Timm => timm::defaults(),
            Framework::Keras => keras::defaults(),
            Framework::KerasCounted => keras_counted::defaults(),
            Framework::Graph => self.order.defaults(),
        }
    }
}

/// PyTorch's count of batches, one a normalisation, which nothing uses.
pub(super) const BATCHES: &str = ".num_batches_tracked";

/// PyTorch's suffixes, shared by transformers and timm: of the convolution, or of the
/// normalisation.
fn pytorch_suffix(part: Part) -> &'static str {
    match part {
        Part::Weights | Part::Gamma => "weight",
        Part::Biases | Part::Beta => "bias",
        Part::MovingMean => "running_mean",
        Part::MovingVariance => "running_var",
    }
}

/// Whether the tensor is the convolution's own, not the normalisation's.
fn of_convolution(part: Part) -> bool {
    matches!(part, Part::Weights | Part::Biases)
}
