//! `Detector`: from a photo to objects and their boxes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mobilenet_detect::bounds::area;
use mobilenet_detect::draw::{Label, draw};
use mobilenet_detect::{
    Computation, DetectError, Detection, DetectorPlan, DetectorWeights, PostProcess,
};
use mobilenet_model::preprocess::Photo;
use serde::Serialize;

use crate::error::Error;
use crate::photos::{Budget, FileAnswers, PhotoOptions, PhotoSource, read};
use crate::pool::{Caller, Planner, Pool};

/// How a [`Detector`] computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetectorOptions {
    /// Number of threads that all calls share.
    pub threads: usize,
    /// In the file's integers, or in numbers.
    pub computation: Computation,
}

impl Default for DetectorOptions {
    /// All cores; quantised files in their own integers.
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            computation: Computation::default(),
        }
    }
}

/// Finds objects in photos: a single-shot detector (SSD) on MobileNetV1.
///
/// Clones are cheap and share the network. Any number of threads may call it at the same time.
#[derive(Debug, Clone)]
pub struct Detector {
    pool: Arc<Pool<DetectorWeights>>,
    weights: DetectorWeights,
    rule: PostProcess,
}

impl Planner for DetectorWeights {
    type Output = ();
    type Plan = DetectorPlan;
    type Error = DetectError;

    fn plan(&self, (): (), threads: usize) -> Result<DetectorPlan, DetectError> {
        Self::plan(self, threads)
    }
}

/// An object in a photo.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DetectedObject {
    /// The class in the weights' own numbering, where 0 is the background.
    pub class: usize,
    /// The name of the class, if it is known.
    pub label: Option<String>,
    /// From 0 to 1.
    pub score: f32,
    /// Top, left, bottom and right, in pixels of the upright photo and inside it.
    #[serde(rename = "box")]
    pub bounds: [f32; 4],
}

/// What a photo file shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Detections {
    /// The objects, best first.
    pub objects: Vec<DetectedObject>,
    /// Time that the network and the choice of boxes took, without decoding and resizing.
    pub network: Duration,
    /// What is missing in the photo, where that is allowed.
    pub warning: Option<String>,
}

/// The answers of [`Detector::detect_files`], in the order of the files.
pub type DetectFiles = FileAnswers<Detections>;

/// Objects with a lower score are mostly none.
const LEAST_SCORE: f32 = 0.5;

impl Detector {
    /// Loads a file that [`DetectorWeights::open`] reads, such as TFLite's with
    /// `TFLite_Detection_PostProcess`, or with the feature `hub` a detector by its name, which is
    /// fetched on first use. Computes with [`DetectorOptions::default`], and returns
    /// objects with a score of at least 0.5, as many as the file says.
    ///
    /// # Errors
    /// [`Error::Detect`] if the file cannot be read or is no such detector.
    ///
    /// ```no_run
    /// use mobilenet::{Detector, open_photo};
    ///
    /// let detector = Detector::new("ssd_mobilenet_v1.tflite")?;
    /// for object in detector.detect(&open_photo("street.jpg")?)? {
    ///     let [top, left, bottom, right] = object.bounds;
    ///     println!("{:?} {:.2}: {top}..{bottom}, {left}..{right}", object.label, object.score);
    /// }
    /// # Ok::<(), mobilenet::Error>(())
    /// ```
    pub fn new(weights: impl AsRef<Path>) -> Result<Self, Error> {
        #[cfg(feature = "hub")]
        if !mobilenet_model::checkpoint::exists(weights.as_ref())
            && let Some(name) = weights.as_ref().to_str()
        {
            use mobilenet_hub::{Cache, Silent, resolve_detector};

            let file = resolve_detector(name, &Cache::of_user()?, &mut Silent)?;
            return Self::open(file, DetectorOptions::default());
        }
        Self::open(weights, DetectorOptions::default())
    }

    /// Loads a file, with options.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn open(weights: impl AsRef<Path>, options: DetectorOptions) -> Result<Self, Error> {
        let weights = DetectorWeights::open(weights.as_ref(), options.computation)?;
        Ok(Self::from_weights(weights, options.threads)?)
    }

    /// Makes a detector from loaded weights.
    ///
    /// # Errors
    /// If the machine cannot start threads.
    pub fn from_weights(weights: DetectorWeights, threads: usize) -> Result<Self, DetectError> {
        let pool = Pool::of(weights.clone(), threads);
        pool.prepare(())?;
        let rule = PostProcess {
            score: LEAST_SCORE,
            ..weights.post_process().clone()
        };
        Ok(Self {
            pool: Arc::new(pool),
            weights,
            rule,
        })
    }

    /// The weights, with the file's own rule.
    pub fn weights(&self) -> &DetectorWeights {
        &self.weights
    }

    /// The rule by which objects are chosen.
    pub fn rule(&self) -> &PostProcess {
        &self.rule
    }

    /// The same network, shared, with another rule.
    ///
    /// # Errors
    /// [`Error::Detect`] if the rule is impossible, or for another number of classes.
    pub fn with_rule(&self, rule: PostProcess) -> Result<Self, Error> {
        let weights = self.weights.with_post_process(rule.clone())?;
        Ok(Self {
            pool: Arc::clone(&self.pool),
            weights,
            rule,
        })
    }

    /// The objects in a photo, best first.
    ///
    /// # Errors
    /// [`Error::Photo`] if the photo cannot be prepared.
    pub fn detect(&self, photo: &Photo) -> Result<Vec<DetectedObject>, Error> {
        let pixels = self.weights.preprocessing().pixels(photo)?;
        let size = [photo.height(), photo.width()].map(|side| side as usize);
        self.objects(&pixels, size, Caller::Any)
    }

    /// The objects in a photo file.
    ///
    /// # Errors
    /// [`Error::Photo`] if the file is no photo, is broken, or exceeds the limits.
    pub fn detect_file(
        &self,
        path: impl AsRef<Path>,
        options: &PhotoOptions,
    ) -> Result<Detections, Error> {
        let budget = Budget::new(options.memory);
        let photo = PhotoSource::file(path.as_ref().to_path_buf());
        self.answer(&photo, options, &budget, Caller::Any)
    }

    /// The objects in photo files, on all threads, in the order of the files, as
    /// [`Classifier::classify_files`](crate::Classifier::classify_files).
    pub fn detect_files(
        &self,
        paths: impl IntoIterator<Item = PathBuf, IntoIter: Send + 'static>,
        options: PhotoOptions,
    ) -> DetectFiles {
        let (detector, budget) = (self.clone(), Budget::new(options.memory));
        let answer =
            move |photo: &PhotoSource, caller| detector.answer(photo, &options, &budget, caller);
        FileAnswers::new(
            paths.into_iter().map(PhotoSource::file),
            self.pool.threads(),
            answer,
        )
    }

    /// The photo with boxes, names and scores of objects.
    pub fn draw(photo: &Photo, objects: &[DetectedObject]) -> Photo {
        let labels = objects.iter().map(|object| Label {
            bounds: object.bounds,
            text: format!("{} {:.0} %", object.name(), 100.0 * object.score),
            class: object.class,
        });
        let mut drawn = photo.clone();
        draw(&mut drawn, &labels.collect::<Vec<_>>());
        drawn
    }

    fn answer(
        &self,
        source: &PhotoSource,
        options: &PhotoOptions,
        budget: &Budget,
        caller: Caller,
    ) -> Result<Detections, Error> {
        let photo = read(source, self.weights.preprocessing(), options, budget)?;
        let start = Instant::now();
        let objects = self.objects(&photo.pixels, photo.size, caller)?;
        Ok(Detections {
            objects,
            network: start.elapsed(),
            warning: photo.warning,
        })
    }

    /// `size` is the photo's.
    fn objects(
        &self,
        pixels: &[f32],
        size: [usize; 2],
        caller: Caller,
    ) -> Result<Vec<DetectedObject>, Error> {
        let work = |plan: &mut DetectorPlan| plan.detect(pixels, &self.rule);
        let found = self.pool.with((), caller, work)?;
        let preprocessing = self.weights.preprocessing();
        let [top, left, bottom, right] = preprocessing.resize.region(size, preprocessing.size);
        let (start, sides) = ([top, left], [bottom - top, right - left]);
        let object = |found: Detection| {
            // From shares of what the network sees to pixels inside the photo.
            let inside: [f32; 4] = std::array::from_fn(|side| {
                let pixels = start[side % 2] + f64::from(found.bounds[side]) * sides[side % 2];
                pixels.clamp(0.0, size[side % 2] as f64) as f32
            });
            // A box may lie outside the photo altogether.
            (area(inside) > 0.0).then(|| DetectedObject {
                class: found.class + self.weights.first_class(),
                label: self.weights.names().name(found.class).map(str::to_string),
                score: found.score,
                bounds: inside,
            })
        };
        Ok(found.into_iter().filter_map(object).collect())
    }
}

impl DetectedObject {
    /// Its label, or the number of its class.
    pub fn name(&self) -> String {
        match &self.label {
            Some(label) => label.clone(),
            None => format!("class {}", self.class),
        }
    }
}
