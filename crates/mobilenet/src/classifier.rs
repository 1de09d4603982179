//! The whole way from a photo to names, in one type.

use std::sync::{Mutex, PoisonError};

use candle_core::Tensor;
use mobilenet_hub::{Cache, HubError, Silent, resolve};
use mobilenet_kernels::inference::WeightType;
use mobilenet_model::checkpoint::{Checkpoint, CheckpointError, Metadata, ReadLimits, load_bytes};
use mobilenet_model::prediction::predictions;
use mobilenet_model::preprocess::{Photo, PhotoError};
use mobilenet_model::{
    InferencePlan, MobileNetV1, ModelError, PlanOptions, PlanOutput, PlanWeights, Prediction,
};

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

/// How a [`Classifier`] computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The inference plan, on so many threads: fastest, and without candle.
    Plan {
        /// The caller's thread included.
        threads: usize,
        /// How the plan keeps its weights in memory.
        weights: WeightType,
    },
    /// The layers on candle, one after the other, on the current rayon pool.
    Eager,
}

impl Default for Engine {
    /// The plan on all cores, weights in f32.
    fn default() -> Self {
        Self::Plan {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            weights: WeightType::F32,
        }
    }
}

#[derive(Debug)]
enum Network {
    Plan(Box<Planned>),
    Eager(Box<MobileNetV1>),
}

/// Packed weights, and the plan that gives logits (or features, where there is no classifier).
#[derive(Debug)]
struct Planned {
    weights: PlanWeights,
    threads: usize,
    plan: Mutex<InferencePlan>,
}

/// A network with all that it needs to take photos. `Send` and `Sync`; calls from several threads
/// take turns.
#[derive(Debug)]
pub struct Classifier {
    network: Network,
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
        Self::from_checkpoint(checkpoint, Engine::default())
    }

    /// The weights that the library carries in itself: width 0.25 at 96x96, trained by
    /// `cargo xtask train --data fashion-mnist` to tell ten kinds of clothes apart (93.99 % on
    /// Fashion-MNIST's test images, see docs/recipes/fashion_mnist.md). Needs no network and no
    /// file. Its photos are white clothes on black, 28x28 pixels.
    ///
    /// # Errors
    /// None on a machine that can start threads.
    ///
    /// ```
    /// use mobilenet::{Classifier, Photo};
    ///
    /// let mut trousers = Photo::new(28, 28);
    /// for (x, y, pixel) in trousers.enumerate_pixels_mut() {
    ///     let leg = (8..=12).contains(&x) || (15..=19).contains(&x);
    ///     if (y >= 2 && leg) || (y < 8 && (8..=19).contains(&x)) {
    ///         *pixel = [200; 3].into();
    ///     }
    /// }
    /// let best = &Classifier::fashion_mnist()?.classify(&trousers, 1)?[0];
    /// assert_eq!(best.label.as_deref(), Some("Trouser"));
    /// # Ok::<(), mobilenet::Error>(())
    /// ```
    pub fn fashion_mnist() -> Result<Self, Error> {
        let bytes = include_bytes!("../weights/fashion_mnist_0.25_96.safetensors");
        let checkpoint = load_bytes("fashion-mnist", bytes, ReadLimits::default())?;
        Self::from_checkpoint(checkpoint, Engine::default())
    }

    /// From weights that are already loaded. The plan packs them anew and gives up each layer's
    /// as it goes, so that a process holds them once.
    ///
    /// # Errors
    /// Where the checkpoint's tensors do not fit its metadata.
    pub fn from_checkpoint(checkpoint: Checkpoint, engine: Engine) -> Result<Self, Error> {
        let metadata = checkpoint.metadata.clone();
        let network = match engine {
            Engine::Eager => Network::Eager(Box::new(checkpoint.build()?)),
            Engine::Plan { threads, weights } => {
                let config = metadata.config();
                let weights = PlanWeights::consuming(weights, &config, checkpoint.parameters)?;
                let output = match metadata.classes {
                    Some(_) => PlanOutput::Logits,
                    None => PlanOutput::Features,
                };
                let plan = Mutex::new(plan(&weights, &metadata, threads, output)?);
                Network::Plan(Box::new(Planned {
                    weights,
                    threads,
                    plan,
                }))
            }
        };
        Ok(Self { network, metadata })
    }

    /// What is known of the weights.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The network's input for a photo, `[rows, columns, channels]`.
    ///
    /// # Errors
    /// Where the weights ask for something that a photo cannot give.
    pub fn pixels(&self, photo: &Photo) -> Result<Vec<f32>, Error> {
        Ok(self.metadata.preprocessing.pixels(photo)?)
    }

    /// The `top` likeliest classes of a photo, best first.
    ///
    /// # Errors
    /// Where the weights have no classifier.
    pub fn classify(&self, photo: &Photo, top: usize) -> Result<Vec<Prediction>, Error> {
        self.classify_pixels(&self.pixels(photo)?, top)
    }

    /// [`Self::classify`] of pixels that are prepared, `[rows, columns, channels]`.
    ///
    /// # Errors
    /// As [`Self::classify`], and where their number is another.
    pub fn classify_pixels(&self, pixels: &[f32], top: usize) -> Result<Vec<Prediction>, Error> {
        if self.metadata.classes.is_none() {
            return Err(Error::NoClassifier);
        }
        let logits = match &self.network {
            Network::Plan(planned) => {
                // A poisoned plan is still a plan: each run writes all that it reads.
                let mut plan = planned.plan.lock().unwrap_or_else(PoisonError::into_inner);
                run(&mut plan, pixels)?
            }
            Network::Eager(network) => {
                let logits = network.forward_t(&self.tensor(pixels)?, false)?;
                logits.flatten_all()?.to_vec1()?
            }
        };
        Ok(predictions(&logits, &self.metadata.labels, top))
    }

    /// Pooled features of a photo: what the classifier sees, 1024 numbers at width 1.
    ///
    /// # Errors
    /// Where the weights ask for something that a photo cannot give.
    ///
    /// ```
    /// use mobilenet::{Classifier, Engine, Photo};
    /// # use mobilenet::model::checkpoint::{Checkpoint, LoadReport, Metadata};
    /// # use mobilenet::model::{initialize::random_parameters, preprocess::Preprocessing};
    /// # let metadata = Metadata { width: 0.25, ..Metadata::new(Preprocessing::slim(96)) };
    /// # let parameters = random_parameters(&metadata.config(), 0)?;
    /// # let checkpoint = Checkpoint { parameters, metadata, report: LoadReport::default() };
    /// let classifier = Classifier::from_checkpoint(checkpoint, Engine::default())?;
    /// let photo = Photo::from_pixel(200, 150, [90, 120, 30].into());
    /// let features = classifier.features(&photo)?;
    /// assert_eq!(features.len(), 256); // width 0.25
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn features(&self, photo: &Photo) -> Result<Vec<f32>, Error> {
        let pixels = self.pixels(photo)?;
        match &self.network {
            Network::Plan(planned) => {
                let (weights, threads) = (&planned.weights, planned.threads);
                let mut features = plan(weights, &self.metadata, threads, PlanOutput::Features)?;
                run(&mut features, &pixels)
            }
            Network::Eager(network) => {
                let features = network.features(&self.tensor(&pixels)?)?;
                Ok(features.flatten_all()?.to_vec1()?)
            }
        }
    }

    /// Pixels as candle has them, `[1, channels, rows, columns]`.
    fn tensor(&self, pixels: &[f32]) -> Result<Tensor, Error> {
        let [rows, columns] = self.metadata.preprocessing.size;
        let shape = (1, rows, columns, self.metadata.preprocessing.channels());
        let tensor = Tensor::from_slice(pixels, shape, &candle_core::Device::Cpu)?;
        Ok(tensor.permute((0, 3, 1, 2))?)
    }
}

fn plan(
    weights: &PlanWeights,
    metadata: &Metadata,
    threads: usize,
    output: PlanOutput,
) -> Result<InferencePlan, Error> {
    let options = PlanOptions::new(metadata.preprocessing.size, threads);
    Ok(InferencePlan::new(
        weights,
        &PlanOptions { output, ..options },
    )?)
}

fn run(plan: &mut InferencePlan, pixels: &[f32]) -> Result<Vec<f32>, Error> {
    let mut output = vec![0.0; plan.output_len()];
    plan.run(pixels, &mut output)?;
    Ok(output)
}
