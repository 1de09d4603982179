//! `classify`: prints the names of what photos show.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use mobilenet::{Classifier, Engine, Prediction, open_photo};
use serde::Serialize;

use super::{load, weight_type, with_rule};
use crate::args::{self, Classify, Precision};
use crate::{output, threads};

#[derive(Serialize)]
struct Line<'a> {
    photo: &'a str,
    milliseconds: f64,
    predictions: Vec<Prediction>,
}

#[derive(Serialize)]
struct ErrorLine<'a> {
    photo: &'a str,
    error: String,
}

pub(crate) fn run(arguments: &Classify) -> Result<()> {
    let Precision::F32 = arguments.precision;
    let weights = weight_type(arguments.engine, arguments.weight_type)?;
    let mut checkpoint = load(&arguments.weights)?;
    if let Some(rule) = arguments.preprocess {
        let metadata = &mut checkpoint.metadata;
        metadata.preprocessing = with_rule(&metadata.preprocessing, rule);
    }
    let engine = match arguments.engine {
        #[cfg(feature = "candle")]
        args::Engine::Eager => Engine::Eager,
        #[cfg(not(feature = "candle"))]
        args::Engine::Eager => bail!("{}", super::WITHOUT_CANDLE),
        args::Engine::Plan => Engine::Plan {
            threads: threads::or_all_cores(arguments.threads),
            weights,
        },
    };
    let classifier = Classifier::from_checkpoint(checkpoint, engine)?;
    if classifier.metadata().classes.is_none() {
        bail!("{} has no classifier", arguments.weights);
    }
    let failed = match engine {
        Engine::Plan { .. } => classify_all(&classifier, arguments)?,
        // Candle computes on the current pool.
        #[cfg(feature = "candle")]
        Engine::Eager => {
            threads::install(arguments.threads, || classify_all(&classifier, arguments))?
        }
    };
    if failed > 0 {
        bail!(
            "{failed} of {} photos could not be classified",
            arguments.photos.len()
        );
    }
    Ok(())
}

/// Prints the classes of each photo; returns how many photos could not be classified.
fn classify_all(classifier: &Classifier, arguments: &Classify) -> Result<usize> {
    let mut failed = 0;
    for photo in &arguments.photos {
        let name = photo.display().to_string();
        match classify(classifier, photo, arguments.top) {
            Ok((milliseconds, predictions)) if arguments.json => {
                output::json(&Line {
                    photo: &name,
                    milliseconds,
                    predictions,
                })?;
            }
            Ok((milliseconds, predictions)) => {
                output::line(format!("{name} ({milliseconds:.1} ms)"))?;
                for prediction in &predictions {
                    output::line(sentence(prediction))?;
                }
            }
            Err(error) => {
                failed += 1;
                let error = error.to_string();
                if arguments.json {
                    output::json(&ErrorLine {
                        photo: &name,
                        error,
                    })?;
                } else {
                    eprintln!("error: {error}");
                }
            }
        }
    }
    Ok(failed)
}

/// Predictions, and the milliseconds that the network took without decoding and resizing.
fn classify(
    classifier: &Classifier,
    photo: &Path,
    top: usize,
) -> Result<(f64, Vec<Prediction>), mobilenet::Error> {
    let pixels = classifier.pixels(&open_photo(photo)?)?;
    let start = Instant::now();
    let predictions = classifier.classify_pixels(&pixels, top)?;
    Ok((start.elapsed().as_secs_f64() * 1e3, predictions))
}

fn sentence(prediction: &Prediction) -> String {
    let name = match &prediction.label {
        Some(label) => label.clone(),
        None => format!("class {}", prediction.class),
    };
    format!("  {:6.2} %  {name}", 100.0 * prediction.probability)
}
