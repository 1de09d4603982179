//! `features`: writes the pooled features of photos.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use mobilenet::features::{FeatureTable, of_photos};
use mobilenet::kernels::inference::WeightType;
use mobilenet::model::checkpoint::Checkpoint;
use mobilenet::{Classifier, Engine, Error, open_photo};

use super::load;
use crate::args::{FeaturePreprocess, Features};
use crate::output;
use crate::photo_sources::Sources;
use crate::progress::counting;
use crate::threads;

pub(crate) fn run(arguments: &Features) -> Result<()> {
    let files = Sources::of_arguments(&arguments.photos)?.all()?;
    let threads = threads::or_all_cores(arguments.threads);
    let network = network(load(&arguments.weights)?, &arguments.preprocess, threads)?;
    let (table, failed) = table(&network, &files)?;
    table.write(&arguments.output)?;
    output::line(format!(
        "{} photos, {} features each: {}",
        table.names().len(),
        table.width(),
        arguments.output.display()
    ))?;
    if failed > 0 {
        bail!("{failed} of {} photos could not be used", files.len());
    }
    Ok(())
}

/// The network without its classifier, which features do not need.
pub(super) fn network(
    mut checkpoint: Checkpoint,
    preprocess: &FeaturePreprocess,
    threads: usize,
) -> Result<Classifier> {
    checkpoint.metadata = preprocess.apply(checkpoint.metadata);
    of_checkpoint(checkpoint, threads)
}

/// The same with the preprocessing that the checkpoint has.
pub(super) fn of_checkpoint(checkpoint: Checkpoint, threads: usize) -> Result<Classifier> {
    let engine = Engine::Plan {
        threads: Some(threads),
        weights: WeightType::F32,
    };
    Ok(Classifier::from_checkpoint(
        checkpoint.with_classes(None, 0)?,
        engine,
    )?)
}

/// The features of the photos that can be used, and the number of the others, which are reported.
pub(super) fn table(network: &Classifier, files: &[PathBuf]) -> Result<(FeatureTable, usize)> {
    let bar = counting(files.len() as u64);
    let load = |index: usize| open_photo(&files[index]);
    let rows = of_photos::<Error>(network, files.len(), load, || bar.inc(1));
    bar.finish_and_clear();
    let (mut names, mut values, mut width) = (Vec::new(), Vec::new(), 0);
    for (file, row) in files.iter().zip(rows) {
        match row {
            Ok(row) => {
                names.push(file.display().to_string());
                width = row.len();
                values.extend(row);
            }
            Err(error) => report(file, &error),
        }
    }
    let failed = files.len() - names.len();
    if names.is_empty() {
        bail!("none of {} photos could be used", files.len());
    }
    Ok((FeatureTable::new(names, width, values)?, failed))
}

/// Reports a photo that cannot be used.
pub(super) fn report(file: &Path, error: &Error) {
    match error {
        // Other errors name the photo.
        Error::Panicked => eprintln!("error: {}: {error}", file.display()),
        error => eprintln!("error: {error}"),
    }
}
