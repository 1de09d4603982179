//! How photos become the network's input: resize rule, number of views, size.

use clap::{Args, ValueEnum};
use mobilenet::Views;
use mobilenet::model::checkpoint::Metadata;
use mobilenet::model::preprocess::Preprocessing;

use crate::values::{Size, size};

/// What overrides the preprocessing that is stored with the weights.
#[derive(Debug, Args)]
pub struct Preprocess {
    /// How to resize photos [default: the rule stored with the weights]
    #[arg(long, value_enum, value_name = "RULE")]
    preprocess: Option<PreprocessRule>,
    /// Views of each photo that are averaged [default: what is stored with the weights, usually 1]
    #[arg(long, value_enum, value_name = "N")]
    views: Option<ViewCount>,
    /// Image side, or rows and columns [default: what is stored with the weights]
    #[arg(long, value_name = "PIXELS|ROWSxCOLUMNS", value_parser = size)]
    resolution: Option<Size>,
}

impl Preprocess {
    /// The metadata with these overrides.
    pub(crate) fn apply(&self, mut metadata: Metadata) -> Metadata {
        if let Some(Size(size)) = self.resolution {
            metadata = metadata.with_size(size);
        }
        if let Some(rule) = self.preprocess {
            metadata.preprocessing = rule.instead_of(&metadata.preprocessing);
        }
        if let Some(views) = self.views {
            metadata.preprocessing.views = views.into();
        }
        metadata
    }
}

/// What overrides the way in which photos become features: the whole photo is seen, because what
/// two photos have in common may be at their rims.
#[derive(Debug, Args)]
pub struct FeaturePreprocess {
    /// How to resize photos
    #[arg(long, value_enum, value_name = "RULE", default_value_t = PreprocessRule::Plain)]
    preprocess: PreprocessRule,
    /// Image side, or rows and columns [default: what is stored with the weights]
    #[arg(long, value_name = "PIXELS|ROWSxCOLUMNS", value_parser = size)]
    resolution: Option<Size>,
}

impl FeaturePreprocess {
    /// The metadata with these overrides.
    pub(crate) fn apply(&self, mut metadata: Metadata) -> Metadata {
        if let Some(Size(size)) = self.resolution {
            metadata = metadata.with_size(size);
        }
        metadata.preprocessing = self.preprocess.instead_of(&metadata.preprocessing);
        metadata
    }
}

/// How a photo is resized to the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PreprocessRule {
    /// Crop the central 87.5 %, squeeze it to the size (TF-slim's evaluation)
    Slim,
    /// Squeeze the whole photo to the size (bilinear, antialiased)
    Plain,
    /// Resize the short edge to size + 32 (bilinear), crop the centre
    HuggingFace,
    /// Resize the short edge to size / 0.875 (bicubic), crop the centre
    Timm,
}

impl PreprocessRule {
    /// The preprocessing with this resize rule; size and normalisation stay.
    pub(crate) fn instead_of(self, preprocessing: &Preprocessing) -> Preprocessing {
        let [rows, columns] = preprocessing.size;
        let side = rows.min(columns);
        let rule = match self {
            Self::Slim => Preprocessing::slim(side),
            Self::Plain => Preprocessing::plain(side),
            Self::HuggingFace => Preprocessing::hugging_face(side),
            Self::Timm => Preprocessing::timm(side, 0.875),
        };
        Preprocessing {
            resize: rule.resize,
            ..preprocessing.clone()
        }
    }
}

/// How many views of a photo are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ViewCount {
    /// One, by the resize rule
    #[value(name = "1")]
    One,
    /// The whole photo squeezed, and the centre
    #[value(name = "2")]
    Two,
    /// Four corners and the centre, each also mirrored
    #[value(name = "10")]
    Ten,
}

impl From<ViewCount> for Views {
    fn from(count: ViewCount) -> Self {
        match count {
            ViewCount::One => Self::One,
            ViewCount::Two => Self::Two,
            ViewCount::Ten => Self::Ten,
        }
    }
}
