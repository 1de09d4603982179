//! The resize rules by name, and the numbers of views.

use clap::ValueEnum;
use mobilenet::Views;

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
