//! A detector's weights in either number type, and plans that compute with them.

use std::path::Path;
use std::sync::Arc;

use mobilenet_kernels::integer::{Arithmetic, IntegerImages, ValueKind};
use mobilenet_model::checkpoint::readers::{
    NamedTensors, has_custom_operator, has_integers, read_branches, read_float_branches,
};
use mobilenet_model::checkpoint::{Format, ReadLimits, load_tensors, read_file};
use mobilenet_model::preprocess::{Filter, Preprocessing, Resize};

use crate::anchors::{Anchor, AnchorOrder};
use crate::description::DetectorDescription;
use crate::error::DetectError;
use crate::floats::{FloatDetectorPlan, FloatNetwork, FloatWeights};
use crate::graph::SsdGraph;
use crate::integers::{IntegerDetectorPlan, IntegerWeights};
use crate::labels::ClassNames;
use crate::options::OPERATOR;
use crate::post_process::{Detection, PostProcess, Suppression};
use crate::ssd::SsdConfig;
use crate::tflite::{FloatDetector, QuantizedDetector};
use crate::variables::SsdVariables;

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
    /// Loads a detector: a TFLite file, quantised or not, that ends in `TFLite_Detection_PostProcess`, whose
    /// anchors and options are its own; or the variables of an SSD of TensorFlow's Object Detection
    /// API in any format ([`crate::variables`]), for 300x300 pixels and with TensorFlow's rules, or as a
    /// training of this project describes them; or its graph in ONNX ([`crate::graph`]); or face-api's
    /// manifest.
    ///
    /// # Errors
    /// If the file cannot be read, or is no such detector.
    pub fn open(path: &Path, computation: Computation) -> Result<Self, DetectError> {
        let limits = ReadLimits::default();
        let file = path.display().to_string();
        let is_tflite = |bytes: &[u8]| Format::detect(bytes) == Some(Format::Tflite);
        if path.is_file()
            && let bytes = read_file(path, limits)?
            && is_tflite(&bytes)
        {
            return Self::of_bytes(&file, &bytes, limits, computation);
        }
        Self::of_tensors(&file, &load_tensors(path, limits)?)
    }

    /// The same of tensors of a file that is no TFLite file.
    ///
    /// # Errors
    /// If they are no detector.
    pub fn of_tensors(file: &str, tensors: &NamedTensors) -> Result<Self, DetectError> {
        let Some(variables) = SsdVariables::find(tensors) else {
            let graph = SsdGraph::find(file, tensors)?.ok_or_else(|| no_detector(file))?;
            return Self::graph(&graph, &graph.config([SIDE; 2])?);
        };
        if let Some(description) = DetectorDescription::of_metadata(&tensors.metadata)? {
            return Self::trained(&variables, &description);
        }
        match variables.anchors()? {
            Some(anchors) => Self::faces(&variables, anchors),
            None => {
                let config = variables.config([SIDE; 2], AnchorOrder::default())?;
                Self::variables(&variables, &config)
            }
        }
    }

    /// The weights of a detector that this project has trained.
    ///
    /// # Errors
    /// As [`Self::variables`].
    pub fn trained(
        variables: &SsdVariables<'_>,
        description: &DetectorDescription,
    ) -> Result<Self, DetectError> {
        let config = description.config();
        let weights = Self::variables(variables, &config)?;
        Ok(Self {
            preprocessing: Preprocessing {
                mean: description.mean.to_vec(),
                std: description.std.to_vec(),
                ..weights.preprocessing.clone()
            },
            names: Arc::new(ClassNames::new(
                Some(description.classes.clone()),
                config.classes,
            )),
            ..weights
        })
    }

    /// The weights of face-api's network, by its rules. `anchors` are the file's.
    ///
    /// # Errors
    /// As [`Self::variables`], and if there is no SSD with so many anchors.
    pub fn faces(variables: &SsdVariables<'_>, anchors: Vec<Anchor>) -> Result<Self, DetectError> {
        let side = variables.side(anchors.len())?;
        let config = variables.config([side; 2], AnchorOrder::default())?;
        let weights = Self::variables(variables, &config)?;
        let faces = Self {
            anchors: Arc::new(anchors),
            post_process: PostProcess {
                overlap: 0.5,
                ..weights.post_process.clone()
            },
            preprocessing: Preprocessing {
                resize: Resize::LongestEdge {
                    filter: Filter::Bilinear,
                },
                ..weights.preprocessing.clone()
            },
            names: Arc::new(ClassNames::faces(config.classes)),
            ..weights
        };
        faces.checked()
    }

    /// The weights of an SSD's variables.
    ///
    /// # Errors
    /// If a variable is missing or has another shape.
    pub fn variables(
        variables: &SsdVariables<'_>,
        config: &SsdConfig,
    ) -> Result<Self, DetectError> {
        Self::of_network(&variables.network(config)?, config)
    }

    /// The weights of an SSD's graph.
    ///
    /// # Errors
    /// If a convolution has another shape.
    pub fn graph(graph: &SsdGraph, config: &SsdConfig) -> Result<Self, DetectError> {
        let mut weights = Self::of_network(&graph.network(config)?, config)?;
        if let Some([mean, std]) = graph.normalization() {
            (weights.preprocessing.mean, weights.preprocessing.std) = (mean, std);
        }
        Ok(weights)
    }

    /// A network with TensorFlow's rules.
    fn of_network(network: &FloatNetwork, config: &SsdConfig) -> Result<Self, DetectError> {
        let [rows, _] = config.size;
        let weights = Self {
            network: Network::Floats(Arc::new(FloatWeights::new(network)?)),
            anchors: Arc::new(config.anchors()?),
            post_process: PostProcess {
                suppression: Suppression::PerClass {
                    per_class: MOST_OF_GRAPH,
                    soft: None,
                },
                most: MOST_OF_GRAPH,
                ..PostProcess::new(config.classes)
            },
            preprocessing: Preprocessing {
                size: config.size,
                // All of the photo, by TensorFlow 1's interpolation.
                resize: Resize::CentralCrop { fraction: 1.0 },
                ..Preprocessing::slim(rows)
            },
            names: Arc::new(ClassNames::new(None, config.classes)),
            first_class: 1,
        };
        weights.checked()
    }

    /// As [`Self::open`], from a file's bytes. `file` is its name in errors.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of_bytes(
        file: &str,
        bytes: &[u8],
        limits: ReadLimits,
        computation: Computation,
    ) -> Result<Self, DetectError> {
        let broken = |source| DetectError::Read {
            file: file.to_string(),
            source,
        };
        let is_detector = Format::detect(bytes) == Some(Format::Tflite)
            && has_custom_operator(bytes, OPERATOR).map_err(broken)?;
        if !is_detector {
            return Err(no_detector(file));
        }
        if has_integers(bytes, limits).map_err(broken)? {
            let file = read_branches(bytes, limits).map_err(broken)?;
            return Self::quantized(QuantizedDetector::new(file)?, computation);
        }
        let file = read_float_branches(bytes, limits).map_err(broken)?;
        let FloatDetector { network, rules } = FloatDetector::new(file)?;
        let weights = Self {
            preprocessing: Preprocessing {
                size: network.size,
                ..Preprocessing::plain(network.size[0])
            },
            network: Network::Floats(Arc::new(FloatWeights::new(&network)?)),
            anchors: Arc::new(rules.anchors),
            post_process: rules.post_process,
            names: Arc::new(rules.names),
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

/// Rows and columns of the images of most SSDs.
const SIDE: usize = 300;

/// Most boxes of a class, and of all, in TensorFlow's configurations.
const MOST_OF_GRAPH: usize = 100;

fn no_detector(file: &str) -> DetectError {
    DetectError::NoDetector {
        file: file.to_string(),
        problem: format!(
            "no detector: neither a TFLite file with the operator {OPERATOR} nor the variables or \
             the graph of an SSD"
        ),
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
