//! A file for browsers with what the page lists of it, and what all files say of photos.

use std::path::Path;

use mobilenet::model::checkpoint::exists;
use mobilenet::model::preprocess::{self, CropRounding, Preprocessing};
use mobilenet_web::{Filter, Resize, Rule};
use xtask::WebType;

/// A file for browsers.
pub(super) struct Converted {
    pub(super) name: String,
    pub(super) precision: &'static str,
    pub(super) size: [usize; 2],
    pub(super) classes: usize,
    /// Whether it finds objects and does not name the photo.
    pub(super) detects: bool,
    pub(super) bytes: Vec<u8>,
}

impl Converted {
    /// The same under another name.
    pub(super) fn called(self, name: &str) -> Self {
        Self {
            name: name.to_string(),
            ..self
        }
    }

    /// Name of the file.
    pub(super) fn file(&self) -> String {
        format!("{}.{}.safetensors", self.name, self.precision)
    }
}

/// A name that is good for a file and a list.
pub(super) fn short_name(weights: &str) -> String {
    let path = Path::new(weights);
    let name = match exists(path) {
        true => path.file_stem().and_then(|name| name.to_str()),
        false => weights.rsplit(['/', ':']).next(),
    };
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let plain = |letter| if is_plain(letter) { letter } else { '_' };
    name.unwrap_or("weights").chars().map(plain).collect()
}

/// The rule for photos, in the module's type.
pub(super) fn rule(preprocessing: &Preprocessing) -> Rule {
    let filter = |filter| match filter {
        preprocess::Filter::Bilinear => Filter::Bilinear,
        preprocess::Filter::Bicubic => Filter::Bicubic,
    };
    let resize = match preprocessing.resize {
        preprocess::Resize::CentralCrop { fraction } => Resize::CentralCrop(fraction),
        preprocess::Resize::Squeeze { filter: used } => Resize::Squeeze(filter(used)),
        preprocess::Resize::ShortestEdge {
            edge,
            filter: used,
            rounding,
        } => Resize::ShortestEdge {
            edge,
            filter: filter(used),
            to_even: rounding == CropRounding::HalfToEven,
        },
        preprocess::Resize::LongestEdge { filter: used } => Resize::LongestEdge(filter(used)),
    };
    Rule {
        resize,
        mean: preprocessing.mean.clone(),
        std: preprocessing.std.clone(),
    }
}

/// What the page calls a type of weights.
pub(super) fn precision(dtype: WebType) -> &'static str {
    match dtype {
        WebType::F32 => "f32",
        WebType::F16 => "f16",
        WebType::Int8 => "int8",
    }
}
