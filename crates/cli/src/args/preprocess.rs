//! The resize rules by name.

use clap::ValueEnum;

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
