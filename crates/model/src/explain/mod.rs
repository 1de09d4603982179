//! Which parts of a photo speak for a class: the class activation map
//! ([Zhou et al. 2015](https://arxiv.org/abs/1512.04150)).
//!
//! The network averages its last map and multiplies the averages with a matrix. So a class's logit
//! is a sum over the pixels of that map, and each pixel's summand says how much its part of the
//! photo speaks for the class. No gradient is needed.

mod overlay;

use crate::checkpoint::{Checkpoint, Metadata};
use crate::error::ModelError;
use crate::fold::folded_logits;
use crate::head::Head;
use crate::plan::{InferencePlan, PlanOptions, PlanWeights};
use crate::prediction::{Prediction, predictions};
use crate::preprocess::{Photo, PhotoError};

/// Why an answer could not be explained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// The weights' preprocessing cannot be applied.
    #[error(transparent)]
    Photo(#[from] PhotoError),
    /// The network cannot be built or run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The weights have no classifier.
    #[error("the weights have no classifier, so there is no answer to explain")]
    NoClassifier,
    /// The class number is too large.
    #[error("there is no class {class}; the weights have {classes} classes, numbered from 0")]
    NoSuchClass {
        /// The number given.
        class: usize,
        /// Number of classes.
        classes: usize,
    },
}

/// A network that explains its answers.
#[derive(Debug)]
pub struct Explainer {
    plan: InferencePlan,
    /// `[classes, channels]`.
    weights: Vec<f32>,
    metadata: Metadata,
}

/// How much each part of a photo speaks for a class.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivationMap {
    /// The class.
    pub prediction: Prediction,
    /// Rows and columns of the map.
    pub size: [usize; 2],
    /// Each pixel's summand of the class's logit, in the order of rows. Their sum is the logit
    /// without its bias where the network averages the whole map.
    pub values: Vec<f32>,
    /// The part of the photo that the map covers: top, left, bottom and right, in pixels.
    pub region: [f64; 4],
}

impl Explainer {
    /// Plans the network on `threads` threads.
    ///
    /// # Errors
    /// [`ExplainError::NoClassifier`] if the weights have no classifier, [`ExplainError::Model`] if the tensors
    /// do not fit their metadata.
    pub fn new(checkpoint: &Checkpoint, threads: usize) -> Result<Self, ExplainError> {
        let metadata = checkpoint.metadata.clone();
        let config = metadata.config();
        let packed = PlanWeights::new(&config, &checkpoint.parameters)?;
        let logits = folded_logits(&config, &checkpoint.parameters)?;
        let logits = logits.filter(|_| metadata.head != Head::Embedding);
        let logits = logits.ok_or(ExplainError::NoClassifier)?;
        let options = PlanOptions {
            endpoints: vec![config.base.final_endpoint],
            ..PlanOptions::new(metadata.preprocessing.size, threads)
        };
        Ok(Self {
            plan: InferencePlan::new(&packed, &options)?,
            weights: logits.weights.into_vec(),
            metadata,
        })
    }

    /// The activation map of a class, or of the most probable class.
    ///
    /// # Errors
    /// [`ExplainError::Photo`] if the weights' preprocessing cannot be applied, [`ExplainError::NoSuchClass`] if
    /// there is no such class.
    ///
    /// ```
    /// use mobilenet_model::explain::Explainer;
    /// use mobilenet_model::preprocess::Photo;
    /// # use mobilenet_model::checkpoint::{Checkpoint, LoadReport, Metadata};
    /// # use mobilenet_model::{initialize::random_parameters, preprocess::Preprocessing};
    /// # let metadata = Metadata { width: 0.25, ..Metadata::new(Preprocessing::plain(96)) };
    /// # let parameters = random_parameters(&metadata.config(), 0)?;
    /// # let checkpoint = Checkpoint { parameters, metadata, report: LoadReport::default() };
    /// let photo = Photo::from_pixel(200, 150, [90, 120, 30].into());
    /// let map = Explainer::new(&checkpoint, 1)?.explain(&photo, None)?;
    /// assert_eq!(map.size, [3, 3]); // 96 / 32
    /// let picture = map.overlay(&photo);
    /// assert_eq!(picture.dimensions(), (200, 150));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn explain(
        &mut self,
        photo: &Photo,
        class: Option<usize>,
    ) -> Result<ActivationMap, ExplainError> {
        let preprocessing = &self.metadata.preprocessing;
        let pixels = preprocessing.pixels(photo)?;
        let &[[.., classes], [rows, columns, channels]] = self.plan.output_shapes() else {
            return Err(ExplainError::NoClassifier);
        };
        let mut logits = vec![0.0; classes];
        let mut map = vec![0.0; rows * columns * channels];
        self.plan.run_all(&pixels, &mut [&mut logits, &mut map])?;
        let probabilities = self.metadata.head.mean_probabilities(&logits, classes);
        let all = predictions(&probabilities, &self.metadata.labels, classes);
        let prediction = match class {
            None => all.into_iter().next(),
            Some(class) => all.into_iter().find(|found| found.class == class),
        };
        let prediction = prediction.ok_or(ExplainError::NoSuchClass {
            class: class.unwrap_or(0),
            classes,
        })?;
        let weights = &self.weights[prediction.class * channels..][..channels];
        let summand = |pixel: &[f32]| {
            let products = pixel.iter().zip(weights);
            products.map(|(a, w)| a * w).sum::<f32>() / (rows * columns) as f32
        };
        let side = [photo.height(), photo.width()].map(|side| side as usize);
        Ok(ActivationMap {
            values: map.chunks_exact(channels).map(summand).collect(),
            size: [rows, columns],
            region: preprocessing.resize.region(side, preprocessing.size),
            prediction,
        })
    }
}
