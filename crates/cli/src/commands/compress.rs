//! `convert --compress`: writes few distinct weights, coded, and compares the answers with those of
//! the float network.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};
use mobilenet::compress::codes::{CompressOptions, Method, compress};
use mobilenet::model::checkpoint::{Checkpoint, ReadLimits, compression_of, save_compressed};
use mobilenet::{Classifier, Engine};
use serde::Serialize;

use super::calibration::{each, of_folder, pixels, split};
use crate::args::Convert;

/// What became of the weights.
#[derive(Serialize)]
pub(super) struct Summary {
    method: String,
    /// Bits of a coded weight in the file, on average.
    bits: f64,
    calibration_photos: usize,
    /// Photos that were not used for calibration, and those of them of which both networks name the
    /// same class.
    test_photos: usize,
    same_class: usize,
}

/// Compresses the network, which becomes what a reader makes of the file, and writes it.
pub(super) fn write(
    arguments: &Convert,
    checkpoint: &mut Checkpoint,
    method: Method,
) -> Result<Summary> {
    let output = &arguments.output;
    let ending = output.extension().and_then(|ending| ending.to_str());
    if matches!(ending, Some("onnx" | "tflite")) {
        bail!("--compress writes safetensors, not {}", output.display());
    }
    let (calibration, test) = photos(arguments)?;
    let images = match calibration.as_slice() {
        [] => Vec::new(),
        files => pixels(&checkpoint.metadata.preprocessing, files)?,
    };
    let bits = arguments.compress.bits;
    let compressed = compress(checkpoint, &images, &CompressOptions { method, bits })?;
    let calibration_photos = images.len();
    drop(images);
    save_compressed(output, &compressed.checkpoint, &compressed.coded)?;
    let float = std::mem::replace(checkpoint, compressed.checkpoint);
    let (same_class, test_photos) = match test.as_slice() {
        [] => (0, 0),
        files => agreement(float, checkpoint.clone(), files)?,
    };
    let written = compression_of(output, ReadLimits::default())?;
    Ok(Summary {
        method: method.to_string(),
        bits: written.map_or(0.0, |written| written.bits()),
        calibration_photos,
        test_photos,
        same_class,
    })
}

/// Photos to calibrate with, and photos to compare on.
fn photos(arguments: &Convert) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let options = &arguments.compress;
    let test = options.test.as_deref();
    match (&options.calibration, test) {
        (Some(folder), _) => split(folder, test, options.photos as usize),
        (None, Some(folder)) => Ok((Vec::new(), of_folder(folder)?)),
        (None, None) => Ok((Vec::new(), Vec::new())),
    }
}

/// The photos of which both networks name the same class, and all that could be classified.
fn agreement(
    float: Checkpoint,
    compressed: Checkpoint,
    files: &[PathBuf],
) -> Result<(usize, usize)> {
    let float = Classifier::from_checkpoint(float, Engine::default())?;
    let compressed = Classifier::from_checkpoint(compressed, Engine::default())?;
    let best = |classifier: &Classifier, photo: &_| {
        let answer = classifier.classify(photo, 1)?;
        Ok::<_, mobilenet::Error>(answer.first().map(|best| best.class))
    };
    let same = each(files, |photo| {
        Ok(best(&float, photo)? == best(&compressed, photo)?)
    });
    Ok((same.iter().filter(|same| **same).count(), same.len()))
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:.2} bits a coded weight", self.method, self.bits)?;
        if self.calibration_photos > 0 {
            write!(f, ", calibrated with {} photos", self.calibration_photos)?;
        }
        if self.test_photos > 0 {
            let share = 100.0 * self.same_class as f64 / self.test_photos as f64;
            write!(
                f,
                ", the same class as the float network on {} of {} photos ({share:.1} %)",
                self.same_class, self.test_photos
            )?;
        }
        Ok(())
    }
}
