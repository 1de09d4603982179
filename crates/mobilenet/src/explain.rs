//! Which parts of a photo speak for a class: the class activation map
//! ([Zhou et al. 2015](https://arxiv.org/abs/1512.04150)).
//!
//! The network averages its last map and multiplies the averages with a matrix. So a class's logit
//! is a sum over the pixels of that map, and each pixel's summand says how much its part of the
//! photo speaks for the class. No gradient is needed.

use mobilenet_model::checkpoint::{Checkpoint, Metadata};
use mobilenet_model::fold::folded_logits;
use mobilenet_model::prediction::{mean_probabilities, predictions};
use mobilenet_model::{InferencePlan, PlanOptions, PlanWeights, Prediction};

use crate::Photo;
use crate::error::Error;

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
    /// [`Error::NoClassifier`] if the weights have no classifier, [`Error::Model`] if the tensors
    /// do not fit their metadata.
    pub fn new(checkpoint: &Checkpoint, threads: usize) -> Result<Self, Error> {
        let metadata = checkpoint.metadata.clone();
        let config = metadata.config();
        let packed = PlanWeights::new(&config, &checkpoint.parameters)?;
        let logits = folded_logits(&config, &checkpoint.parameters)?;
        let logits = logits.ok_or(Error::NoClassifier)?;
        let options = PlanOptions {
            endpoints: vec![config.base.final_endpoint],
            ..PlanOptions::new(metadata.preprocessing.size, threads)
        };
        Ok(Self {
            plan: InferencePlan::new(&packed, &options)?,
            weights: logits.weights,
            metadata,
        })
    }

    /// The activation map of a class, or of the most probable class.
    ///
    /// # Errors
    /// [`Error::Photo`] if the weights' preprocessing cannot be applied, [`Error::NoSuchClass`] if
    /// there is no such class.
    ///
    /// ```
    /// use mobilenet::{Explainer, Photo};
    /// # use mobilenet::model::checkpoint::{Checkpoint, LoadReport, Metadata};
    /// # use mobilenet::model::{initialize::random_parameters, preprocess::Preprocessing};
    /// # let metadata = Metadata { width: 0.25, ..Metadata::new(Preprocessing::plain(96)) };
    /// # let parameters = random_parameters(&metadata.config(), 0)?;
    /// # let checkpoint = Checkpoint { parameters, metadata, report: LoadReport::default() };
    /// let photo = Photo::from_pixel(200, 150, [90, 120, 30].into());
    /// let map = Explainer::new(&checkpoint, 1)?.explain(&photo, None)?;
    /// assert_eq!(map.size, [3, 3]); // 96 / 32
    /// map.overlay(&photo).save(std::env::temp_dir().join("explained.png"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn explain(&mut self, photo: &Photo, class: Option<usize>) -> Result<ActivationMap, Error> {
        let preprocessing = &self.metadata.preprocessing;
        let pixels = preprocessing.pixels(photo)?;
        let &[[.., classes], [rows, columns, channels]] = self.plan.output_shapes() else {
            return Err(Error::NoClassifier);
        };
        let mut logits = vec![0.0; classes];
        let mut map = vec![0.0; rows * columns * channels];
        self.plan.run_all(&pixels, &mut [&mut logits, &mut map])?;
        let probabilities = mean_probabilities(&logits, classes);
        let all = predictions(&probabilities, &self.metadata.labels, classes);
        let prediction = match class {
            None => all.into_iter().next(),
            Some(class) => all.into_iter().find(|found| found.class == class),
        };
        let prediction = prediction.ok_or(Error::NoSuchClass {
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
