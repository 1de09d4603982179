//! A detector as files have it, before its weights are packed: layers in f32, or in integers, and what
//! makes detections of their numbers.

use std::path::Path;

use mobilenet_model::checkpoint::readers::{
    NamedTensors, has_custom_operator, has_integers, read_branches, read_float_branches,
};
use mobilenet_model::checkpoint::{Format, ReadLimits, load_tensors, read_file};
use mobilenet_model::preprocess::{Filter, Preprocessing, Resize};

use crate::anchors::{Anchor, AnchorOrder};
use crate::description::DetectorDescription;
use crate::error::DetectError;
use crate::floats::FloatNetwork;
use crate::graph::SsdGraph;
use crate::labels::ClassNames;
use crate::options::OPERATOR;
use crate::post_process::{PostProcess, Suppression};
use crate::ssd::SsdConfig;
use crate::tflite::{FloatDetector, QuantizedDetector};
use crate::variables::SsdVariables;

/// A detector of either number type.
#[derive(Debug, Clone)]
pub enum UnpackedDetector {
    /// A quantised TFLite file's.
    Integers(Box<QuantizedDetector>),
    /// Any other file's.
    Floats(Box<UnpackedFloats>),
}

/// A detector in f32.
#[derive(Debug, Clone)]
pub struct UnpackedFloats {
    /// The layers.
    pub network: FloatNetwork,
    /// The anchors.
    pub anchors: Vec<Anchor>,
    /// The file's rule, or its framework's.
    pub post_process: PostProcess,
    /// How a photo becomes an image.
    pub preprocessing: Preprocessing,
    /// Names of the classes.
    pub names: ClassNames,
}

/// Rows and columns of the images of most SSDs.
const SIDE: usize = 300;

/// Most boxes of a class, and of all, in TensorFlow's configurations.
const MOST_OF_GRAPH: usize = 100;

impl UnpackedDetector {
    /// Reads a detector: a TFLite file, quantised or not, that ends in `TFLite_Detection_PostProcess`, whose
    /// anchors and options are its own; or the variables of an SSD of TensorFlow's Object Detection
    /// API in any format ([`crate::variables`]), for 300x300 pixels and with TensorFlow's rules, or as a
    /// training of this project describes them; or its graph in ONNX ([`crate::graph`]); or face-api's
    /// manifest. `None` if the file is something else.
    ///
    /// # Errors
    /// If the file cannot be read, or its detector is broken.
    pub fn open(path: &Path) -> Result<Option<Self>, DetectError> {
        let limits = ReadLimits::default();
        let file = path.display().to_string();
        let is_tflite = |bytes: &[u8]| Format::detect(bytes) == Some(Format::Tflite);
        if path.is_file()
            && let bytes = read_file(path, limits)?
            && is_tflite(&bytes)
        {
            return Self::of_bytes(&file, &bytes, limits);
        }
        let tensors = load_tensors(path, limits)?;
        let found = UnpackedFloats::of_tensors(&file, &tensors)?;
        Ok(found.map(|found| Self::Floats(Box::new(found))))
    }

    /// As [`Self::open`], from a TFLite file's bytes. `file` is its name in errors.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of_bytes(
        file: &str,
        bytes: &[u8],
        limits: ReadLimits,
    ) -> Result<Option<Self>, DetectError> {
        let broken = |source| DetectError::Read {
            file: file.to_string(),
            source,
        };
        let is_detector = Format::detect(bytes) == Some(Format::Tflite)
            && has_custom_operator(bytes, OPERATOR).map_err(broken)?;
        if !is_detector {
            return Ok(None);
        }
        if has_integers(bytes, limits).map_err(broken)? {
            let file = read_branches(bytes, limits).map_err(broken)?;
            return Ok(Some(Self::Integers(Box::new(QuantizedDetector::new(
                file,
            )?))));
        }
        let file = read_float_branches(bytes, limits).map_err(broken)?;
        let FloatDetector { network, rules } = FloatDetector::new(file)?;
        Ok(Some(Self::Floats(Box::new(UnpackedFloats {
            preprocessing: Preprocessing {
                size: network.size,
                ..Preprocessing::plain(network.size[0])
            },
            network,
            anchors: rules.anchors,
            post_process: rules.post_process,
            names: rules.names,
        }))))
    }
}

impl UnpackedFloats {
    /// The detector that tensors of a file that is no TFLite file are, if they are one.
    ///
    /// # Errors
    /// If it is broken.
    pub fn of_tensors(file: &str, tensors: &NamedTensors) -> Result<Option<Self>, DetectError> {
        let Some(variables) = SsdVariables::find(tensors) else {
            let Some(graph) = SsdGraph::find(file, tensors)? else {
                return Ok(None);
            };
            return Self::graph(&graph, &graph.config([SIDE; 2])?).map(Some);
        };
        if let Some(description) = DetectorDescription::of_metadata(&tensors.metadata)? {
            return Self::trained(&variables, &description).map(Some);
        }
        match variables.anchors()? {
            Some(anchors) => Self::faces(&variables, anchors),
            None => {
                let config = variables.config([SIDE; 2], AnchorOrder::default())?;
                Self::variables(&variables, &config)
            }
        }
        .map(Some)
    }

    /// A detector that this project has trained.
    ///
    /// # Errors
    /// As [`Self::variables`].
    pub fn trained(
        variables: &SsdVariables<'_>,
        description: &DetectorDescription,
    ) -> Result<Self, DetectError> {
        let config = description.config();
        let own = Self::variables(variables, &config)?;
        let classes = Some(description.classes.clone());
        Ok(Self {
            preprocessing: Preprocessing {
                mean: description.mean.to_vec(),
                std: description.std.to_vec(),
                ..own.preprocessing
            },
            names: ClassNames::new(classes, config.classes),
            ..own
        })
    }

    /// face-api's network, by its rules. `anchors` are the file's.
    ///
    /// # Errors
    /// As [`Self::variables`], and if there is no SSD with so many anchors.
    pub fn faces(variables: &SsdVariables<'_>, anchors: Vec<Anchor>) -> Result<Self, DetectError> {
        let side = variables.side(anchors.len())?;
        let config = variables.config([side; 2], AnchorOrder::default())?;
        let own = Self::variables(variables, &config)?;
        Ok(Self {
            anchors,
            post_process: PostProcess {
                overlap: 0.5,
                ..own.post_process
            },
            preprocessing: Preprocessing {
                resize: Resize::LongestEdge {
                    filter: Filter::Bilinear,
                },
                ..own.preprocessing
            },
            names: ClassNames::faces(config.classes),
            ..own
        })
    }

    /// An SSD's variables.
    ///
    /// # Errors
    /// If a variable is missing or has another shape.
    pub fn variables(
        variables: &SsdVariables<'_>,
        config: &SsdConfig,
    ) -> Result<Self, DetectError> {
        Self::of_network(variables.network(config)?, config)
    }

    /// An SSD's graph.
    ///
    /// # Errors
    /// If a convolution has another shape.
    pub fn graph(graph: &SsdGraph, config: &SsdConfig) -> Result<Self, DetectError> {
        let mut own = Self::of_network(graph.network(config)?, config)?;
        if let Some([mean, std]) = graph.normalization() {
            (own.preprocessing.mean, own.preprocessing.std) = (mean, std);
        }
        Ok(own)
    }

    /// A network with TensorFlow's rules.
    fn of_network(network: FloatNetwork, config: &SsdConfig) -> Result<Self, DetectError> {
        let [rows, _] = config.size;
        Ok(Self {
            network,
            anchors: config.anchors()?,
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
            names: ClassNames::new(None, config.classes),
        })
    }
}

/// The error of a file that is something else.
pub(crate) fn no_detector(file: &str) -> DetectError {
    DetectError::NoDetector {
        file: file.to_string(),
        problem: format!(
            "no detector: neither a TFLite file with the operator {OPERATOR} nor the variables or \
             the graph of an SSD"
        ),
    }
}
