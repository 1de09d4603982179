//! `detect`: finds objects in photos.

use std::path::Path;

use anyhow::{Result, bail};
use mobilenet::detect::{Computation, PostProcess, Suppression};
use mobilenet::{DetectedObject, Detections, Detector, DetectorOptions, PhotoOptions, open_photo};
use serde::Serialize;

use super::detector_file;
use crate::args::{Detect, Precision, SuppressionRule};
use crate::output;
use crate::photo_sources::Sources;
use crate::pictures::Pictures;
use crate::progress::counting;
use crate::threads;

#[derive(Serialize)]
struct Line<'a> {
    photo: &'a str,
    milliseconds: f64,
    detections: &'a [DetectedObject],
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'a str>,
}

#[derive(Serialize)]
struct ErrorLine<'a> {
    photo: &'a str,
    error: &'a str,
}

/// Most objects of a class, where classes do not compete: as in TensorFlow's configurations.
const PER_CLASS: usize = 100;

/// Variance of soft suppression, as in TensorFlow's configurations.
const SOFTNESS: f32 = 0.5;

pub(crate) fn run(arguments: &Detect) -> Result<()> {
    let sources = Sources::of_arguments(&arguments.photos)?;
    let detector = Detector::open(
        detector_file(&arguments.weights)?,
        DetectorOptions {
            threads: threads::or_all_cores(arguments.threads),
            computation: match arguments.precision {
                Precision::Int8 => Computation::default(),
                Precision::F32 => Computation::Floats,
            },
        },
    )?;
    let detector = detector.with_rule(rule(detector.rule(), arguments))?;
    let mut pictures = match &arguments.draw {
        Some(folder) => Some(Pictures::in_folder(folder)?),
        None => None,
    };
    let photos = sources.photos.len() + sources.problems.len();
    let mut failures = Failures {
        json: arguments.json,
        photos,
        failed: 0,
        only: None,
    };
    for (path, problem) in &sources.problems {
        let name = path.display().to_string();
        failures.add(&name, format!("{name}: {problem}"))?;
    }
    let options = PhotoOptions {
        exact: arguments.exact,
        lenient: arguments.lenient,
        ..PhotoOptions::default()
    };
    let bar = counting(if photos > 1 { photos as u64 } else { 0 });
    for file in detector.detect_files(sources.photos, options) {
        let name = file.path.display().to_string();
        bar.suspend(|| match file.answer {
            Ok(found) => {
                print(&name, &found, arguments.json)?;
                match &mut pictures {
                    Some(pictures) => draw(&file.path, &found, pictures),
                    None => Ok(()),
                }
            }
            Err(error) => failures.add(&name, error.to_string()),
        })?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    failures.end()
}

/// The file's rule with what the caller wants otherwise.
fn rule(own: &PostProcess, arguments: &Detect) -> PostProcess {
    let per_class = |soft| Suppression::PerClass {
        per_class: PER_CLASS,
        soft,
    };
    PostProcess {
        score: arguments.threshold as f32,
        most: arguments.top.map_or(own.most, |top| top as usize),
        suppression: match arguments.suppression {
            None => own.suppression,
            Some(SuppressionRule::BestClass) => Suppression::BestClass { classes: 1 },
            Some(SuppressionRule::PerClass) => Suppression::Regular {
                per_class: PER_CLASS,
            },
            Some(SuppressionRule::Soft) => per_class(Some(SOFTNESS)),
        },
        ..own.clone()
    }
}

fn print(photo: &str, found: &Detections, json: bool) -> Result<()> {
    if let Some(warning) = &found.warning {
        eprintln!("warning: {warning}");
    }
    let milliseconds = found.network.as_secs_f64() * 1e3;
    if json {
        return output::json(&Line {
            photo,
            milliseconds,
            detections: &found.objects,
            warning: found.warning.as_deref(),
        });
    }
    let mut text = format!("{photo} ({milliseconds:.1} ms)\n");
    if found.objects.is_empty() {
        text += "  nothing found\n";
    }
    for object in &found.objects {
        let [top, left, bottom, right] = object.bounds.map(f32::round);
        let (score, name) = (100.0 * object.score, object.name());
        text += &format!(
            "  {score:6.2} %  {name:14}  rows {top} to {bottom}, columns {left} to {right}\n"
        );
    }
    output::text(&text)
}

fn draw(photo: &Path, found: &Detections, pictures: &mut Pictures) -> Result<()> {
    let drawn = Detector::draw(&open_photo(photo)?, &found.objects);
    pictures.write(photo, &drawn)
}

/// Photos that could not be read.
struct Failures {
    json: bool,
    photos: usize,
    failed: usize,
    /// Why, where there is only one photo and nobody was told.
    only: Option<String>,
}

impl Failures {
    fn add(&mut self, photo: &str, error: String) -> Result<()> {
        self.failed += 1;
        match (self.json, self.photos) {
            (true, _) => output::json(&ErrorLine {
                photo,
                error: &error,
            })?,
            (false, 1) => self.only = Some(error),
            (false, _) => eprintln!("error: {error}"),
        }
        Ok(())
    }

    fn end(self) -> Result<()> {
        match (self.failed, self.only) {
            (0, _) => Ok(()),
            (_, Some(error)) => bail!(error),
            (failed, None) => bail!("{failed} of {} photos could not be read", self.photos),
        }
    }
}
