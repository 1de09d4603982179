//! `Classifier`: from a photo to class names or features.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mobilenet_kernels::inference::WeightType;
use mobilenet_model::checkpoint::{Checkpoint, Metadata, ReadLimits, load, load_bytes};
#[cfg(feature = "integers")]
use mobilenet_model::checkpoint::{is_quantized, load_quantized, load_quantized_bytes};
use mobilenet_model::inspect::summary;
use mobilenet_model::prediction::predictions;
use mobilenet_model::preprocess::{Photo, Views};
#[cfg(feature = "integers")]
use mobilenet_model::quantized::{Arithmetic, IntegerNetwork, QuantizedWeights};
use mobilenet_model::{Head, NetworkWeights, PlanWeights, Prediction};

#[cfg(feature = "candle")]
use crate::eager::Eager;
use crate::error::Error;
use crate::pool::{Caller, Output, Pool};

/// How a [`Classifier`] computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The inference plan: the fastest engine, without candle.
    Plan {
        /// Number of threads that all calls share. A single call uses all of them. Concurrent
        /// calls use one thread each and wait while no thread is free. `None`: the machine's, of
        /// which a single call uses as many as its network has work for.
        threads: Option<usize>,
        /// Number type of the weights in memory.
        weights: WeightType,
    },
    /// Our layers on candle, one after another, on the current rayon pool.
    #[cfg(feature = "candle")]
    Eager,
}

impl Default for Engine {
    /// The plan on this machine's cores, with weights in f32.
    fn default() -> Self {
        Self::Plan {
            threads: None,
            weights: WeightType::F32,
        }
    }
}

/// Multiply-adds, in millions, that keep a thread busy long enough: it is woken, and has to wait for
/// the others after each layer. A network of 14 million (0.25 at 128x128), each run after a pause,
/// takes 0.29 ms on two threads and 0.32 on one.
const WORK_OF_A_THREAD: u64 = 20;

/// How many threads a network of MobileNet's architecture has work for. (Other networks in integers
/// cannot be asked; they have work enough.)
fn busy_threads(metadata: &Metadata) -> usize {
    let [height, width] = metadata.preprocessing.size;
    let work = summary(&metadata.config(), height, width).map(|summary| summary.multiply_adds);
    let threads = work.unwrap_or(u64::MAX) / (WORK_OF_A_THREAD * 1_000_000);
    usize::try_from(threads).unwrap_or(usize::MAX)
}

#[derive(Debug)]
enum Network {
    Plans(Box<Pool>),
    #[cfg(feature = "candle")]
    Eager(Box<Eager>),
}

/// A network with its preprocessing and labels: takes photos, gives class names or features.
///
/// Clones are cheap and share the network. Any number of threads may call it at the same time.
#[derive(Debug, Clone)]
pub struct Classifier {
    network: Arc<Network>,
    metadata: Arc<Metadata>,
}

impl Classifier {
    /// Loads weights: a file or folder in any supported format, a known name, or `hf:OWNER/REPO`.
    /// Weights by name are fetched on first use and kept in the user's cache. Computes with
    /// [`Engine::default`].
    ///
    /// # Errors
    /// [`Error::Hub`] if the weights cannot be found, fetched or read, [`Error::Model`] if no
    /// network can be built from them.
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
    #[cfg(feature = "hub")]
    pub fn new(weights: &str) -> Result<Self, Error> {
        use mobilenet_hub::{Cache, Silent, resolve};
        use mobilenet_model::checkpoint::exists;

        if exists(Path::new(weights)) {
            return Self::open(weights);
        }
        let checkpoint = resolve(weights, &Cache::of_user()?, &mut Silent)?;
        Self::from_checkpoint(checkpoint, Engine::default())
    }

    /// Loads weights from a file or folder in any supported format. Computes with
    /// [`Engine::default`]; a quantised TFLite file in its own integers, with LiteRT's answers
    /// (without the feature `integers`: in f32).
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the weights cannot be read, [`Error::Model`] if no network can be
    /// built from them.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let (path, limits) = (path.as_ref(), ReadLimits::default());
        #[cfg(feature = "integers")]
        if is_quantized(path, limits)? {
            let quantized = load_quantized(path, limits)?;
            return Self::from_integers(quantized.metadata, quantized.network, None);
        }
        Self::from_checkpoint(load(path, limits)?, Engine::default())
    }

    /// Makes a classifier that computes in a quantised file's integers, as LiteRT's default
    /// interpreter does. `metadata` is that of the same file's checkpoint; `threads` is as in
    /// [`Engine::Plan`].
    ///
    /// # Errors
    /// [`Error::Model`] if the network cannot be computed, or has no classifier.
    #[cfg(feature = "integers")]
    pub fn from_integers(
        metadata: Metadata,
        integers: IntegerNetwork,
        threads: Option<usize>,
    ) -> Result<Self, Error> {
        let weights = QuantizedWeights::new(integers, Arithmetic::Xnnpack)?;
        Self::from_pool(NetworkWeights::Int8(weights), metadata, threads)
    }

    fn from_pool(
        weights: NetworkWeights,
        metadata: Metadata,
        threads: Option<usize>,
    ) -> Result<Self, Error> {
        let size = metadata.preprocessing.size;
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        let pool = match threads {
            Some(threads) => Pool::new(weights, size, threads),
            None => Pool::new(weights, size, all()).with_calls_of(busy_threads(&metadata)),
        };
        pool.prepare(match metadata.classes {
            Some(_) => Output::Logits,
            None => Output::Features,
        })?;
        Ok(Self {
            network: Arc::new(Network::Plans(Box::new(pool))),
            metadata: Arc::new(metadata),
        })
    }

    /// The weights embedded in the library, which tell ten kinds of clothes apart: width 0.25 at
    /// 96x96, trained by `cargo xtask train --data fashion-mnist` and compressed to 149,155 bytes
    /// (93.97 % accuracy on Fashion-MNIST's test images, 93.98 % before; see
    /// docs/recipes/fashion_mnist.md). Needs no network access
    /// and no file. It was trained on white clothes on black, 28x28 pixels.
    ///
    /// # Errors
    /// [`Error::Model`] if the machine cannot start threads.
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

    /// [`Self::fashion_mnist`] as a network that computes in 8-bit integers, made of the same
    /// training's weights by `mobilenet quantize`: 93.94 % accuracy.
    ///
    /// # Errors
    /// As [`Self::fashion_mnist`].
    #[cfg(feature = "integers")]
    pub fn fashion_mnist_int8() -> Result<Self, Error> {
        let bytes = include_bytes!("../weights/fashion_mnist_0.25_96_int8.safetensors");
        let quantized = load_quantized_bytes("fashion-mnist", bytes, ReadLimits::default())?;
        Self::from_integers(quantized.metadata, quantized.network, None)
    }

    /// Makes a classifier from loaded weights. The plan repacks the weights layer by layer and
    /// frees each layer's original, so that memory never holds all weights twice.
    ///
    /// # Errors
    /// [`Error::Model`] if the checkpoint's tensors do not fit its metadata.
    pub fn from_checkpoint(checkpoint: Checkpoint, engine: Engine) -> Result<Self, Error> {
        let metadata = checkpoint.metadata.clone();
        match engine {
            #[cfg(feature = "candle")]
            Engine::Eager => Ok(Self {
                network: Arc::new(Network::Eager(Box::new(Eager::new(&checkpoint)?))),
                metadata: Arc::new(metadata),
            }),
            Engine::Plan { threads, weights } => {
                let config = metadata.config();
                let weights = PlanWeights::consuming(weights, &config, checkpoint.parameters)?;
                Self::from_pool(NetworkWeights::F32(weights), metadata, threads)
            }
        }
    }

    /// Width, classes, preprocessing, labels and source of the weights.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The same network, shared, that looks at this many views of each photo: one by the weights'
    /// own rule; two, the whole photo and its centre; or AlexNet's ten crops. Probabilities are
    /// averaged over the views. Each view takes the network's time once more.
    ///
    /// ```
    /// use mobilenet::{Classifier, Photo, Views};
    ///
    /// let photo = Photo::from_pixel(28, 28, [200; 3].into());
    /// let classifier = Classifier::fashion_mnist()?.with_views(Views::Ten);
    /// assert_eq!(classifier.classify(&photo, 3)?.len(), 3);
    /// # Ok::<(), mobilenet::Error>(())
    /// ```
    #[must_use]
    pub fn with_views(&self, views: Views) -> Self {
        let mut metadata = Metadata::clone(&self.metadata);
        metadata.preprocessing.views = views;
        Self {
            network: Arc::clone(&self.network),
            metadata: Arc::new(metadata),
        }
    }

    /// Prepares a photo as the weights' preprocessing says: resized and normalised f32 values of
    /// one view, `[rows, columns, channels]`.
    ///
    /// # Errors
    /// [`Error::Photo`] if the weights' preprocessing cannot be applied to a photo.
    pub fn pixels(&self, photo: &Photo) -> Result<Vec<f32>, Error> {
        Ok(self.metadata.preprocessing.pixels(photo)?)
    }

    /// [`Self::pixels`] of all views, one after another.
    ///
    /// # Errors
    /// As [`Self::pixels`].
    pub fn views(&self, photo: &Photo) -> Result<Vec<f32>, Error> {
        Ok(self.metadata.preprocessing.views(photo)?)
    }

    /// The `top` most probable classes of a photo, best first. Probabilities are from 0 to 1 and
    /// add up to 1 over all classes, unless the weights tell attributes, which are independent.
    ///
    /// # Errors
    /// [`Error::NoClassifier`] if the weights have no classifier, and as [`Self::pixels`].
    pub fn classify(&self, photo: &Photo, top: usize) -> Result<Vec<Prediction>, Error> {
        self.classify_pixels(&self.views(photo)?, top)
    }

    /// [`Self::classify`] for pixels that [`Self::pixels`] or [`Self::views`] has prepared,
    /// `[views, rows, columns, channels]`.
    ///
    /// # Errors
    /// As [`Self::classify`], and [`Error::Model`] if the number of values is wrong.
    pub fn classify_pixels(&self, pixels: &[f32], top: usize) -> Result<Vec<Prediction>, Error> {
        self.predict(pixels, top, Caller::Any)
    }

    /// [`Self::classify`] for many photos, in parallel on the engine's threads. Returns one result
    /// for each photo, in the order of the photos.
    ///
    /// ```
    /// use mobilenet::{Classifier, Photo};
    ///
    /// let photos = [40, 120, 200].map(|grey| Photo::from_pixel(28, 28, [grey; 3].into()));
    /// for answer in Classifier::fashion_mnist()?.classify_batch(&photos, 1) {
    ///     println!("{:?}", answer?[0].label);
    /// }
    /// # Ok::<(), mobilenet::Error>(())
    /// ```
    pub fn classify_batch(
        &self,
        photos: &[Photo],
        top: usize,
    ) -> Vec<Result<Vec<Prediction>, Error>> {
        let classify = |photo: &Photo| self.predict(&self.views(photo)?, top, Caller::OneOfMany);
        let workers = self.threads().min(photos.len());
        if workers <= 1 {
            return photos.iter().map(classify).collect();
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut answers = Vec::new();
            while let index = next.fetch_add(1, Ordering::Relaxed)
                && let Some(photo) = photos.get(index)
            {
                answers.push((index, classify(photo)));
            }
            answers
        };
        let mut answers = std::thread::scope(|scope| {
            let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
            let mut answers = work();
            for other in others {
                match other.join() {
                    Ok(more) => answers.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            answers
        });
        answers.sort_by_key(|&(index, _)| index);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    pub(crate) fn threads(&self) -> usize {
        match &*self.network {
            Network::Plans(pool) => pool.threads(),
            // Candle's operations use several threads themselves.
            #[cfg(feature = "candle")]
            Network::Eager(_) => 1,
        }
    }

    pub(crate) fn predict(
        &self,
        pixels: &[f32],
        top: usize,
        caller: Caller,
    ) -> Result<Vec<Prediction>, Error> {
        let head = self.metadata.head;
        let classes = self.metadata.classes.filter(|_| head != Head::Embedding);
        let classes = classes.ok_or(Error::NoClassifier)?;
        let preprocessing = &self.metadata.preprocessing;
        let [rows, columns] = preprocessing.size;
        let one = rows * columns * preprocessing.channels();
        // No pixels are one view of the wrong length.
        let none = pixels.is_empty().then_some(pixels);
        let mut logits = Vec::new();
        for view in pixels.chunks(one.max(1)).chain(none) {
            logits.extend(match &*self.network {
                Network::Plans(pool) => pool.run(view, Output::Logits, caller)?,
                #[cfg(feature = "candle")]
                Network::Eager(network) => network.logits(view)?,
            });
        }
        let probabilities = head.mean_probabilities(&logits, classes);
        Ok(predictions(&probabilities, &self.metadata.labels, top))
    }

    /// The pooled features of a photo, which are the classifier's input: 1024 numbers at width 1.
    ///
    /// # Errors
    /// As [`Self::pixels`].
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
        match &*self.network {
            Network::Plans(pool) => Ok(pool.run(&pixels, Output::Features, Caller::Any)?),
            #[cfg(feature = "candle")]
            Network::Eager(network) => network.features(&pixels),
        }
    }
}
