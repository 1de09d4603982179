//! One file per command. Each takes arguments, calls the libraries and prints the result.

pub mod bench;
mod calibration;
pub(crate) mod choose;
pub(crate) mod classify;
pub(crate) mod completions;
mod compress;
pub(crate) mod convert;
mod copies;
pub(crate) mod detect;
pub(crate) mod duplicates;
pub(crate) mod eval;
pub(crate) mod eval_detector;
pub(crate) mod eval_head;
pub(crate) mod eval_places;
pub(crate) mod features;
pub(crate) mod inspect;
pub(crate) mod knn;
pub(crate) mod merge;
pub(crate) mod predict;
pub(crate) mod quantize;
pub(crate) mod search;
mod task;
pub(crate) mod train;
pub(crate) mod train_detector;
mod train_head;
mod train_settings;
pub(crate) mod weights;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::args;
use crate::progress::Terminal;
use mobilenet::hub::{Cache, HubError, resolve_detector, resolve_with};
use mobilenet::kernels::inference::WeightType;
use mobilenet::model::checkpoint::{
    self, Checkpoint, LoadOptions, QuantizedCheckpoint, ReadLimits, exists,
};
use mobilenet::model::quantized::{Arithmetic, IntegerNetwork};

/// The error of `--engine eager` in a program without candle.
#[cfg(not(feature = "candle"))]
const WITHOUT_CANDLE: &str = "`--engine eager` needs candle; build this program with the feature \
                              `candle`";

/// Loads weights: a file or folder, a known name, or `hf:OWNER/REPO`.
///
/// # Errors
/// As [`mobilenet::hub::resolve`].
pub fn load(weights: &str) -> Result<Checkpoint, HubError> {
    load_with(weights, &LoadOptions::default())
}

/// [`load`] with options for files and folders.
fn load_with(weights: &str, options: &LoadOptions) -> Result<Checkpoint, HubError> {
    resolve_with(
        weights,
        options,
        &Cache::of_user()?,
        &mut Terminal::default(),
    )
}

/// The file of a detector: a file or folder, or a known name, which is fetched on first use.
///
/// # Errors
/// As [`mobilenet::hub::resolve_detector`].
pub fn detector_file(weights: &str) -> Result<PathBuf> {
    // A file needs no cache.
    if exists(Path::new(weights)) {
        return Ok(PathBuf::from(weights));
    }
    let cache = Cache::of_user()?;
    Ok(resolve_detector(weights, &cache, &mut Terminal::default())?)
}

/// The integers of a quantised file, which need not be a MobileNetV1.
fn load_integers(weights: &str) -> Result<IntegerNetwork> {
    let path = quantized_file(weights)?;
    Ok(checkpoint::load_integers(path, ReadLimits::default())?)
}

/// The integers of a quantised file, with its metadata.
fn load_quantized(weights: &str) -> Result<QuantizedCheckpoint> {
    let path = quantized_file(weights)?;
    Ok(checkpoint::load_quantized(path, ReadLimits::default())?)
}

fn quantized_file(weights: &str) -> Result<&Path> {
    let path = Path::new(weights);
    if !exists(path) {
        bail!(
            "{weights} is no file; --precision int8 needs a quantised TFLite or ONNX file, or our \
             own"
        );
    }
    Ok(path)
}

impl From<args::Arithmetic> for Arithmetic {
    fn from(arithmetic: args::Arithmetic) -> Self {
        match arithmetic {
            args::Arithmetic::Xnnpack => Self::Xnnpack,
            args::Arithmetic::Reference => Self::Reference,
        }
    }
}

impl From<args::WeightType> for WeightType {
    fn from(weight_type: args::WeightType) -> Self {
        match weight_type {
            args::WeightType::F32 => Self::F32,
            args::WeightType::F16 => Self::F16,
            args::WeightType::Bf16 => Self::Bf16,
        }
    }
}

/// The number type of the plan's weights. It is an error to choose one for the other engine.
fn weight_type(engine: args::Engine, chosen: Option<args::WeightType>) -> Result<WeightType> {
    match (engine, chosen) {
        (args::Engine::Eager, Some(_)) => bail!("--weight-type needs --engine plan"),
        (_, chosen) => Ok(chosen.map_or(WeightType::F32, WeightType::from)),
    }
}
