//! One photo file -> its classes.

use std::path::Path;
use std::time::{Duration, Instant};

use mobilenet_model::Prediction;
use mobilenet_model::preprocess::{DecodeLimits, DecodeOptions, EncodedPhoto, Reduction};

use super::budget::Budget;
use crate::classifier::Classifier;
use crate::error::Error;
use crate::pool::Caller;

/// How photo files are classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhotoOptions {
    /// Number of best classes in an answer.
    pub top: usize,
    /// What decoding one photo may take.
    pub limits: DecodeLimits,
    /// Bytes that photos may take together while they are decoded. A photo that takes more is
    /// decoded while no other is.
    pub memory: u64,
    /// Whether every pixel is decoded. Otherwise a JPEG that is far larger than the network's input
    /// is decoded at a reduced size, which moves probabilities by about as much as another JPEG
    /// decoder does: by less than 0.01 in our tests, by up to 0.025 in single cases.
    pub exact: bool,
    /// Whether a photo that is cut off or broken is classified by what is there of it, with a
    /// warning.
    pub lenient: bool,
}

impl Default for PhotoOptions {
    /// Five classes, 128 MiB.
    fn default() -> Self {
        Self {
            top: 5,
            limits: DecodeLimits::default(),
            memory: 128 << 20,
            exact: false,
            lenient: false,
        }
    }
}

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
        self.answer(path.as_ref(), options, &budget, Caller::Any)
    }

    pub(super) fn answer(
        &self,
        path: &Path,
        options: &PhotoOptions,
        budget: &Budget,
        caller: Caller,
    ) -> Result<Answer, Error> {
        let preprocessing = &self.metadata().preprocessing;
        let encoded = EncodedPhoto::open(path, options.limits)?;
        let reduction = match options.exact {
            true => Reduction::None,
            false => preprocessing.reduction(encoded.size()),
        };
        let share = budget.take(encoded.memory(reduction));
        let decoded = encoded.decode(DecodeOptions {
            limits: options.limits,
            reduction,
            lenient: options.lenient,
        })?;
        let pixels = preprocessing.views(&decoded.photo);
        let pixels = pixels.map_err(|error| error.of_photo(path.display().to_string()))?;
        drop((decoded.photo, share));
        let start = Instant::now();
        let predictions = self.predict(&pixels, options.top, caller)?;
        Ok(Answer {
            predictions,
            network: start.elapsed(),
            warning: decoded.warning,
        })
    }
}
