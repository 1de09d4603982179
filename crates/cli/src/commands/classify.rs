//! `classify`: names what photos show.

mod answers;
mod csv;
mod explanation;
#[cfg(feature = "parquet")]
mod parquet;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Error, Result, bail};
use mobilenet::model::checkpoint::Checkpoint;
use mobilenet::{Classifier, Engine, PhotoOptions, PhotoSource, Prediction};

use super::{load, load_quantized, weight_type};
use crate::args::{self, Classify, Precision};
use crate::manifest;
use crate::photo_sources::Sources;
use crate::progress::counting;
use crate::threads;
use answers::{Answers, Format};
use explanation::Explanation;

pub(crate) fn run(arguments: &Classify) -> Result<()> {
    let engine = engine(arguments)?;
    if let (Some(part), Some(path)) = (arguments.part, &arguments.output)
        && path.exists()
    {
        eprintln!("part {} is there already: {}", part.number, path.display());
        return Ok(());
    }
    let (mut sources, contents) = sources(arguments)?;
    if contents.is_some() && arguments.explain.is_some() {
        bail!("--explain needs photos in files, not a Parquet file");
    }
    let load = || -> Result<Checkpoint> {
        let mut checkpoint = load(&arguments.weights)?;
        checkpoint.metadata = arguments.preprocess.apply(checkpoint.metadata);
        Ok(checkpoint)
    };
    let mut explanation = match &arguments.explain {
        Some(path) => Some(Explanation::new(&load()?, path, sources.photos.len())?),
        None => None,
    };
    let classifier = match (arguments.precision, engine) {
        (Precision::Int8, Engine::Plan { threads, .. }) => {
            let quantized = load_quantized(&arguments.weights)?;
            let metadata = arguments.preprocess.apply(quantized.metadata);
            Classifier::from_integers(metadata, quantized.network, threads)?
        }
        _ => Classifier::from_checkpoint(load()?, engine)?,
    };
    if classifier.metadata().classes.is_none() {
        bail!("{} has no classifier", arguments.weights);
    }
    let (answers, done) = open(arguments)?;
    let before = sources.photos.len();
    let mut done = done;
    let mut is_new = |photo: &PathBuf| {
        let left = done.get_mut(&name_of(photo)).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_none()
    };
    let new: Vec<bool> = sources.photos.iter().map(&mut is_new).collect();
    let mut is_left = new.iter();
    sources
        .photos
        .retain(|_| is_left.next().is_some_and(|new| *new));
    let contents = contents.map(|contents| -> manifest::Contents {
        Box::new(
            contents
                .zip(new)
                .filter(|(_, new)| *new)
                .map(|(photo, _)| photo),
        )
    });
    let skipped = before - sources.photos.len();
    let total = sources.photos.len() + sources.problems.len();
    let explanation = explanation.as_mut();
    let work = || {
        classify_all(
            &classifier,
            arguments,
            sources,
            contents,
            answers,
            explanation,
        )
    };
    let outcome = match arguments.engine {
        // Candle computes on the current pool.
        #[cfg(feature = "candle")]
        args::Engine::Eager => threads::install(arguments.threads, work)?,
        _ => work()?,
    };
    if total > 1 || skipped > 0 || arguments.part.is_some() {
        eprintln!("{}", outcome.summary(skipped));
    }
    match (outcome.failed, outcome.only_error) {
        (0, _) => Ok(()),
        // They are rows of the part.
        _ if arguments.part.is_some() => Ok(()),
        (_, Some(error)) if total == 1 => bail!(error),
        (failed, _) => bail!("{failed} of {total} photos could not be classified"),
    }
}

/// What computes, in one of the combinations that there are.
fn engine(arguments: &Classify) -> Result<Engine> {
    let weights = weight_type(arguments.engine, arguments.weight_type)?;
    let int8 = arguments.precision == Precision::Int8;
    match arguments.engine {
        args::Engine::Eager if int8 => bail!("--precision int8 needs --engine plan"),
        #[cfg(feature = "candle")]
        args::Engine::Eager => Ok(Engine::Eager),
        #[cfg(not(feature = "candle"))]
        args::Engine::Eager => bail!("{}", super::WITHOUT_CANDLE),
        args::Engine::Plan if int8 && arguments.weight_type.is_some() => {
            bail!("--weight-type is for --precision f32")
        }
        args::Engine::Plan => Ok(Engine::Plan {
            threads: arguments.threads.map(|n| threads::or_all_cores(Some(n))),
            weights,
        }),
    }
}

/// The photos to classify, and their bytes if a manifest has them.
fn sources(arguments: &Classify) -> Result<(Sources, Option<manifest::Contents>)> {
    let Some(path) = &arguments.manifest else {
        return Ok((Sources::of_arguments(&arguments.photos)?, None));
    };
    let mut photos = manifest::read(path)?;
    let whole = 0..photos.len();
    let rows = arguments.part.map_or(whole, |part| part.of(photos.len()));
    photos = photos.drain(rows.clone()).collect();
    let problems = Vec::new();
    Ok((
        Sources { photos, problems },
        manifest::contents(path, rows)?,
    ))
}

/// The photos until one cannot be read, and where it is told why.
fn until_a_problem(
    contents: manifest::Contents,
) -> (
    impl Iterator<Item = PhotoSource> + Send,
    Arc<Mutex<Option<Error>>>,
) {
    let problem = Arc::new(Mutex::new(None));
    let told = Arc::clone(&problem);
    let tell = move |error| *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    (
        contents.map_while(move |photo| photo.map_err(&tell).ok()),
        problem,
    )
}

/// Where answers go, and the photos that are there already, how many times each.
fn open(arguments: &Classify) -> Result<(Answers, std::collections::HashMap<String, usize>)> {
    let top = arguments.top as usize;
    let format = match (arguments.json, arguments.csv) {
        (true, _) => Format::Json,
        (false, true) => Format::Csv,
        (false, false) => Format::Text,
    };
    match &arguments.output {
        None => Ok((Answers::printed(format, top)?, Default::default())),
        #[cfg(feature = "parquet")]
        Some(path) if path.extension().is_some_and(|ending| ending == "parquet") => {
            if arguments.resume {
                bail!("a Parquet file cannot be completed; use .csv or .jsonl with --resume");
            }
            Ok((Answers::in_parquet(path, top)?, Default::default()))
        }
        Some(path) => {
            let is_csv = path.extension().is_some_and(|ending| ending == "csv");
            let format = if is_csv { Format::Csv } else { Format::Json };
            if arguments.part.is_some() {
                return Ok((Answers::whole(path, format, top)?, Default::default()));
            }
            Answers::in_file(path, format, top, arguments.resume)
        }
    }
}

/// What came of all photos.
struct Outcome {
    photos: usize,
    failed: usize,
    /// Why a photo could not be classified, where only one could not and nobody was told.
    only_error: Option<String>,
    elapsed: Duration,
}

impl Outcome {
    fn summary(&self, skipped: usize) -> String {
        let seconds = self.elapsed.as_secs_f64();
        let rate = self.photos as f64 / seconds.max(1e-9);
        let mut text = format!("{} photos, {seconds:.1} s, {rate:.0} a second", self.photos);
        if skipped > 0 {
            text += &format!(", {skipped} more were there already");
        }
        if self.failed > 0 {
            text += &format!(", {} failed", self.failed);
        }
        text
    }
}

fn classify_all(
    classifier: &Classifier,
    arguments: &Classify,
    sources: Sources,
    contents: Option<manifest::Contents>,
    mut answers: Answers,
    mut explanation: Option<&mut Explanation>,
) -> Result<Outcome> {
    let start = Instant::now();
    let photos = sources.photos.len() + sources.problems.len();
    let mut outcome = Outcome {
        photos,
        failed: 0,
        only_error: None,
        elapsed: Duration::ZERO,
    };
    let mut failed = |answers: &mut Answers, photo: &str, error: String| {
        outcome.failed += 1;
        answers.error(photo, &error)?;
        if photos == 1 && !answers.has_errors() {
            outcome.only_error = Some(error);
        } else if !answers.has_errors() {
            eprintln!("error: {error}");
        }
        Ok::<(), anyhow::Error>(())
    };
    for (path, problem) in &sources.problems {
        let name = name_of(path);
        failed(&mut answers, &name, format!("{name}: {problem}"))?;
    }
    let options = PhotoOptions {
        top: arguments.top as usize,
        exact: arguments.exact,
        lenient: arguments.lenient,
        ..PhotoOptions::default()
    };
    let least_probability = classifier.metadata().least_probability;
    let bar = counting(if photos > 1 { photos as u64 } else { 0 });
    let (files, problem) = match contents {
        None => (classifier.classify_files(sources.photos, options), None),
        Some(contents) => {
            let (photos, problem) = until_a_problem(contents);
            (classifier.classify_photos(photos, options), Some(problem))
        }
    };
    for file in files {
        let name = name_of(&file.path);
        bar.suspend(|| match file.answer {
            Ok(mut answer) => {
                if let Some(warning) = &answer.warning {
                    eprintln!("warning: {warning}");
                }
                leave_out(&mut answer.predictions, arguments, least_probability);
                answers.answer(&name, &answer)?;
                match &mut explanation {
                    Some(explanation) => explanation.draw(&file.path),
                    None => Ok(()),
                }
            }
            Err(error) => failed(&mut answers, &name, error.to_string()),
        })?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let problem = problem.and_then(|problem| {
        let mut problem = problem.lock().unwrap_or_else(PoisonError::into_inner);
        problem.take()
    });
    if let Some(problem) = problem {
        return Err(problem);
    }
    answers.finish()?;
    outcome.elapsed = start.elapsed();
    Ok(outcome)
}

/// Leaves out what is not probable enough: by the caller's limit each class, by the weights' own all
/// of them.
fn leave_out(predictions: &mut Vec<Prediction>, arguments: &Classify, least: Option<f64>) {
    let probability = |one: &Prediction| f64::from(one.probability);
    match (arguments.min_probability, least) {
        (Some(limit), _) => predictions.retain(|one| limit <= probability(one)),
        (None, Some(least)) => {
            if predictions
                .first()
                .is_some_and(|best| probability(best) < least)
            {
                predictions.clear();
            }
        }
        (None, None) => (),
    }
}

/// A path as it is printed. What is no Unicode is replaced, the file is found all the same.
fn name_of(path: &Path) -> String {
    path.display().to_string()
}
