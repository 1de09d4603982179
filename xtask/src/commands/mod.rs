//! One file a command: arguments in, library calls, text out.

pub(crate) mod bench;
pub(crate) mod classify;
pub(crate) mod convert;
pub(crate) mod docs;
pub(crate) mod inspect;
pub(crate) mod predict;
pub(crate) mod report;
pub(crate) mod tidy;
pub(crate) mod weights;

use crate::cli::PreprocessRule;
use crate::progress::Terminal;
use mobilenet::hub::{Cache, HubError, resolve_with};
use mobilenet::model::checkpoint::{Checkpoint, LoadOptions};
use mobilenet::model::preprocess::Preprocessing;

/// Loads weights from wherever they are.
fn load(weights: &str) -> Result<Checkpoint, HubError> {
    load_with(weights, &LoadOptions::default())
}

/// [`load`] with options, which hold for files and folders.
fn load_with(weights: &str, options: &LoadOptions) -> Result<Checkpoint, HubError> {
    resolve_with(
        weights,
        options,
        &Cache::of_user()?,
        &mut Terminal::default(),
    )
}

/// The rule for images of the same size and normalisation as before.
fn with_rule(preprocessing: &Preprocessing, rule: PreprocessRule) -> Preprocessing {
    let side = preprocessing.size[0];
    let other = match rule {
        PreprocessRule::Slim => Preprocessing::slim(side),
        PreprocessRule::Plain => Preprocessing::plain(side),
        PreprocessRule::HuggingFace => Preprocessing::hugging_face(side),
        PreprocessRule::Timm => Preprocessing::timm(side, 0.875),
    };
    Preprocessing {
        resize: other.resize,
        ..preprocessing.clone()
    }
}
