//! A detector's weights in either number type, and plans that compute with them.

use std::path::Path;
use std::sync::Arc;

use mobilenet_kernels::integer::{Arithmetic, IntegerImages, ValueKind};
use mobilenet_model::checkpoint::ReadLimits;
use mobilenet_model::checkpoint::readers::NamedTensors;
use mobilenet_model::preprocess::Preprocessing;

use crate::anchors::Anchor;
use crate::error::DetectError;
use crate::floats::{FloatDetectorPlan, FloatWeights};
use crate::integers::{IntegerDetectorPlan, IntegerWeights};
use crate::labels::ClassNames;
use crate::post_process::{Detection, PostProcess};
use crate::tflite::QuantizedDetector;
use crate::unpacked::{UnpackedDetector, UnpackedFloats, no_detector};

/// How a quantised detector is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Computation {
    /// In its own integers, rounded as a framework does.
    Integers(Arithmetic),
    /// In the numbers that its integers mean.
    Floats,
}

impl Default for Computation {
    /// In integers, by the rounding of LiteRT's default interpreter, which is also the fastest.
    fn default() -> Self {
        Self::Integers(Arithmetic::default())
    }
}

/// Weights, anchors and rules of a detector. Plans share them.
#[derive(Debug, Clone)]
pub struct DetectorWeights {
    network: Network,
    anchors: Arc<Vec<Anchor>>,
    post_process: PostProcess,
    preprocessing: Preprocessing,
    names: Arc<ClassNames>,
    /// The number of the first class: 1 where the background is among the scores.
    first_class: usize,
}

#[derive(Debug, Clone)]
enum Network {
    Integers(Arc<IntegerWeights>),
    Floats(Arc<FloatWeights>),
}

impl DetectorWeights {
    /// Loads a detector's file: see [`UnpackedDetector::open`].
    ///
    /// # Errors
    /// If the file cannot be read, or is no such detector.
    pub fn open(path: &Path, computation: Computation) -> Result<Self, DetectError> {
        let found = UnpackedDetector::open(path)?;
        let found = found.ok_or_else(|| no_detector(&path.display().to_string()))?;
        Self::packed(found, computation)
    }

    /// As [`Self::open`], from a TFLite file's bytes. `file` is its name in errors.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of_bytes(
        file: &str,
        bytes: &[u8],
        limits: ReadLimits,
        computation: Computation,
    ) -> Result<Self, DetectError> {
        let found = UnpackedDetector::of_bytes(file, bytes, limits)?;
        Self::packed(found.ok_or_else(|| no_detector(file))?, computation)
    }

    /// The same of tensors of a file that is no TFLite file.
    ///
    /// # Errors
    /// If they are no detector.
    pub fn of_tensors(file: &str, tensors: &NamedTensors) -> Result<Self, DetectError> {
        let found = UnpackedFloats::of_tensors(file, tensors)?;
        Self::floats(found.ok_or_else(|| no_detector(file))?)
    }

    /// Packs what was read.
    ///
    /// # Errors
    /// As [`Self::quantized`] and [`Self::floats`].
    pub fn packed(
        detector: UnpackedDetector,
        computation: Computation,
    ) -> Result<Self, DetectError> {
        match detector {
            UnpackedDetector::Integers(detector) => Self::quantized(*detector, computation),
            UnpackedDetector::Floats(detector) => Self::floats(*detector),
        }
    }

    /// The weights of a detector in f32.
    ///
    /// # Errors
    /// If its layers do not go together, or its predictors do not have a box for each anchor.
    pub fn floats(detector: UnpackedFloats) -> Result<Self, DetectError> {
        let weights = Self {
            network: Network::Floats(Arc::new(FloatWeights::new(&detector.network)?)),
            anchors: Arc::new(detector.anchors),
            post_process: detector.post_process,
            preprocessing: detector.preprocessing,
            names: Arc::new(detector.names),
            first_class: 0,
        };
        weights.checked()
    }

    /// The weights of a quantised detector.
    ///
    /// # Errors
    /// If its network cannot be computed, or its predictors do not have a box for each anchor.
    pub fn quantized(
        detector: QuantizedDetector,
        computation: Computation,
    ) -> Result<Self, DetectError> {
        let [rows, columns, _] = detector.chain.input_shape;
        let preprocessing = preprocessing(&detector, [rows, columns])?;
        let network = match computation {
            Computation::Floats => {
                Network::Floats(Arc::new(FloatWeights::new(&detector.dequantized()?)?))
            }
            Computation::Integers(arithmetic) => Network::Integers(Arc::new(IntegerWeights::new(
                detector.chain,
                detector.branches,
                [detector.boxes, detector.scores],
                arithmetic,
            )?)),
        };
        let weights = Self {
            network,
            anchors: Arc::new(detector.rules.anchors),
            post_process: detector.rules.post_process,
            preprocessing,
            names: Arc::new(detector.rules.names),
            first_class: 0,
        };
        weights.checked()
    }

    /// Checks that the parts go together. A plan checks what it is made of.
    fn checked(mut self) -> Result<Self, DetectError> {
        let columns = match self.plan(1)?.network {
            NetworkPlan::Integers(plan) => plan.columns(),
            NetworkPlan::Floats(plan) => plan.columns(),
        };
        // With the background or without.
        let classes = self.post_process.classes;
        if columns != classes && columns != classes + 1 {
            return Err(DetectError::Count {
                what: "scores of a box",
                expected: classes + 1,
                found: columns,
            });
        }
        self.first_class = columns - classes;
        Ok(self)
    }

    /// Names of the classes.
    pub fn names(&self) -> &ClassNames {
        &self.names
    }

    /// The number that the first class has in the weights: 1 if 0 is the background.
    pub fn first_class(&self) -> usize {
        self.first_class
    }

    /// The rule that makes detections.
    pub fn post_process(&self) -> &PostProcess {
        &self.post_process
    }

    /// The same weights with another rule.
    ///
    /// # Errors
    /// If the rule is outside its range, or for another number of classes.
    pub fn with_post_process(&self, post_process: PostProcess) -> Result<Self, DetectError> {
        post_process.check()?;
        if post_process.classes != self.post_process.classes {
            return Err(DetectError::Count {
                what: "classes",
                expected: self.post_process.classes,
                found: post_process.classes,
            });
        }
        Ok(Self {
            post_process,
            ..self.clone()
        })
    }

    /// How a photo becomes an image.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// A plan for a number of threads.
    ///
    /// # Errors
    /// If memory or threads are missing, or the predictors do not have a box for each anchor.
    pub fn plan(&self, threads: usize) -> Result<DetectorPlan, DetectError> {
        let anchors = self.anchors.len();
        let network = match &self.network {
            Network::Integers(weights) => NetworkPlan::Integers(Box::new(
                IntegerDetectorPlan::new(Arc::clone(weights), anchors, threads)?,
            )),
            Network::Floats(weights) => NetworkPlan::Floats(Box::new(FloatDetectorPlan::new(
                Arc::clone(weights),
                anchors,
                threads,
            )?)),
        };
        Ok(DetectorPlan {
            network,
            anchors: Arc::clone(&self.anchors),
        })
    }
}

/// The whole photo, squeezed to the network's size, in the numbers that its integers mean.
fn preprocessing(
    detector: &QuantizedDetector,
    size: [usize; 2],
) -> Result<Preprocessing, DetectError> {
    let first = detector.chain.layers.first().map(|layer| layer.output);
    let meaning = match (detector.chain.input, first) {
        (ValueKind::Quantized(meaning), _) | (_, Some(ValueKind::Quantized(meaning))) => meaning,
        _ => {
            return Err(DetectError::NoDetector {
                file: "the network".to_string(),
                problem: "its input is not quantised".to_string(),
            });
        }
    };
    // sample = 255 * white; x = scale * (sample - zero point).
    let zero_point = (meaning.zero_point - meaning.integer.min()) as f32;
    Ok(Preprocessing {
        size,
        mean: vec![zero_point / 255.0; 3],
        std: vec![1.0 / (255.0 * meaning.scale); 3],
        ..Preprocessing::plain(size[0])
    })
}

/// A detector that is ready to run.
#[derive(Debug)]
pub struct DetectorPlan {
    network: NetworkPlan,
    anchors: Arc<Vec<Anchor>>,
}

#[derive(Debug)]
enum NetworkPlan {
    Integers(Box<IntegerDetectorPlan>),
    Floats(Box<FloatDetectorPlan>),
}

impl DetectorPlan {
    /// The boxes' encodings and scores of one prepared image.
    ///
    /// # Errors
    /// If the image has another size than the network's.
    pub fn predict(&mut self, image: &[f32]) -> Result<[Vec<f32>; 2], DetectError> {
        match &mut self.network {
            NetworkPlan::Integers(plan) => plan.run(&IntegerImages::F32(image)),
            NetworkPlan::Floats(plan) => plan.run(image),
        }
    }

    /// The detections in one prepared image, best first.
    ///
    /// # Errors
    /// As [`Self::predict`], and if the network computes what is no number.
    pub fn detect(
        &mut self,
        image: &[f32],
        rule: &PostProcess,
    ) -> Result<Vec<Detection>, DetectError> {
        let [encodings, scores] = self.predict(image)?;
        rule.run(&encodings, &scores, &self.anchors)
    }
}
