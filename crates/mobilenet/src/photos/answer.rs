//! One photo file -> its classes.

use std::path::Path;
use std::time::{Duration, Instant};

use mobilenet_model::Prediction;

use super::budget::Budget;
use super::options::PhotoOptions;
use super::read::{Prepared, read};
use super::source::PhotoSource;
use crate::classifier::Classifier;
use crate::error::Error;
use crate::pool::Caller;

/// What a photo shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The best classes, best first.
    pub predictions: Vec<Prediction>,
    /// Time that the network took, all views together, without decoding and resizing.
    pub network: Duration,
    /// What is missing in the photo, where that is allowed.
    pub warning: Option<String>,
}

impl Classifier {
    /// Reads a photo file and classifies it, on all threads.
    ///
    /// # Errors
    /// [`Error::Photo`] if the file is no photo, is broken, or exceeds the limits, and as
    /// [`Self::classify`].
    ///
    /// ```
    /// use mobilenet::{Classifier, PhotoOptions};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("dark.ppm");
    /// std::fs::write(&path, b"P6 1 1 255 \0\0\0")?;
    /// let answer = Classifier::fashion_mnist()?.classify_file(&path, &PhotoOptions::default())?;
    /// assert_eq!(answer.predictions.len(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn classify_file(
        &self,
        path: impl AsRef<Path>,
        options: &PhotoOptions,
    ) -> Result<Answer, Error> {
        let budget = Budget::new(options.memory);
        let photo = PhotoSource::file(path.as_ref().to_path_buf());
        self.answer(&photo, options, &budget, Caller::Any)
    }

    pub(super) fn answer(
        &self,
        photo: &PhotoSource,
        options: &PhotoOptions,
        budget: &Budget,
        caller: Caller,
    ) -> Result<Answer, Error> {
        let preprocessing = &self.metadata().preprocessing;
        let Prepared {
            pixels, warning, ..
        } = read(photo, preprocessing, options, budget)?;
        let start = Instant::now();
        let predictions = self.predict(&pixels, options.top, caller)?;
        Ok(Answer {
            predictions,
            network: start.elapsed(),
            warning,
        })
    }
}
