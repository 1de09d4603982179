//! The whole way from a photo to names, in one type.

use candle_core::Tensor;
use mobilenet_hub::{Cache, HubError, Silent, resolve};
use mobilenet_model::checkpoint::{Checkpoint, CheckpointError, Metadata};
use mobilenet_model::prediction::predictions;
use mobilenet_model::preprocess::{Photo, PhotoError};
use mobilenet_model::{MobileNetV1, ModelError, Prediction};

/// Whatever can go wrong on the way.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The weights cannot be had.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The weights are no usable checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The photo cannot be used.
    #[error(transparent)]
    Photo(#[from] PhotoError),
    /// The network refuses.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The weights have no classifier.
    #[error("the weights have no classifier; they give features only")]
    NoClassifier,
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Model(error.into())
    }
}

/// A network with all that it needs to take photos.
///
/// It runs on the current rayon pool; `ThreadPool::install` chooses the number of threads.
#[derive(Debug, Clone)]
pub struct Classifier {
    network: MobileNetV1,
    metadata: Metadata,
}

impl Classifier {
    /// Loads weights: a file or folder in any format that we read, a known name, or
    /// `hf:OWNER/REPO`. A name is fetched on first use and kept in the user's cache.
    ///
    /// # Errors
    /// Where the weights cannot be had or used.
    ///
    /// ```
    /// use mobilenet::{Classifier, Photo};
    /// # use mobilenet::model::checkpoint::{Checkpoint, LoadReport, Metadata, WeightsDtype, save};
    /// # use mobilenet::model::{initialize::random_parameters, preprocess::Preprocessing};
    /// # let folder = tempfile::tempdir()?;
    /// # let weights = folder.path().join("weights.safetensors").display().to_string();
    /// # let metadata = Metadata { width: 0.25, ..Metadata::new(Preprocessing::slim(96)) };
    /// # let parameters = random_parameters(&metadata.config(), 0)?;
    /// # let report = LoadReport::default();
    /// # let checkpoint = Checkpoint { parameters, metadata, report };
    /// # save(weights.as_ref(), &checkpoint, WeightsDtype::F16)?;
    ///
    /// let photo = Photo::from_pixel(200, 150, [90, 120, 30].into());
    /// let best = Classifier::new(&weights)?.classify(&photo, 5)?;
    /// assert_eq!(best.len(), 5);
    /// assert!(best[0].probability >= best[1].probability);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(weights: &str) -> Result<Self, Error> {
        let checkpoint = resolve(weights, &Cache::of_user()?, &mut Silent)?;
        Self::from_checkpoint(&checkpoint)
    }

    /// From weights that are already loaded.
    ///
    /// # Errors
    /// Where the checkpoint's tensors do not fit its metadata.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self, Error> {
        Ok(Self {
            network: checkpoint.build()?,
            metadata: checkpoint.metadata.clone(),
        })
    }

    /// What is known of the weights.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The network itself.
    pub fn network(&self) -> &MobileNetV1 {
        &self.network
    }

    /// The network's input for a photo, `[1, channels, rows, columns]`.
    ///
    /// # Errors
    /// Where the weights ask for something that a photo cannot give.
    pub fn pixels(&self, photo: &Photo) -> Result<Tensor, Error> {
        Ok(self.metadata.preprocessing.tensor(photo)?)
    }

    /// The `top` likeliest classes of a photo, best first.
    ///
    /// # Errors
    /// Where the weights have no classifier.
    pub fn classify(&self, photo: &Photo, top: usize) -> Result<Vec<Prediction>, Error> {
        self.classify_pixels(&self.pixels(photo)?, top)
    }

    /// [`Self::classify`] of pixels that are prepared, `[1, channels, rows, columns]`.
    ///
    /// # Errors
    /// As [`Self::classify`], and where the pixels have another shape.
    pub fn classify_pixels(&self, pixels: &Tensor, top: usize) -> Result<Vec<Prediction>, Error> {
        if self.metadata.classes.is_none() {
            return Err(Error::NoClassifier);
        }
        let logits = self.network.forward_t(pixels, false)?;
        let logits = logits.flatten_all()?.to_vec1::<f32>()?;
        Ok(predictions(&logits, &self.metadata.labels, top))
    }

    /// Pooled features of a photo: what the classifier sees, 1024 numbers at width 1.
    ///
    /// # Errors
    /// Where the weights ask for something that a photo cannot give.
    ///
    /// ```
    /// use mobilenet::{Classifier, Photo};
    /// # use mobilenet::model::checkpoint::{Checkpoint, LoadReport, Metadata};
    /// # use mobilenet::model::{initialize::random_parameters, preprocess::Preprocessing};
    /// # let metadata = Metadata { width: 0.25, ..Metadata::new(Preprocessing::slim(96)) };
    /// # let parameters = random_parameters(&metadata.config(), 0)?;
    /// # let checkpoint = Checkpoint { parameters, metadata, report: LoadReport::default() };
    /// let classifier = Classifier::from_checkpoint(&checkpoint)?;
    /// let photo = Photo::from_pixel(200, 150, [90, 120, 30].into());
    /// let features = classifier.features(&photo)?;
    /// assert_eq!(features.len(), 256); // width 0.25
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn features(&self, photo: &Photo) -> Result<Vec<f32>, Error> {
        let features = self.network.features(&self.pixels(photo)?)?;
        Ok(features.flatten_all()?.to_vec1::<f32>()?)
    }
}
