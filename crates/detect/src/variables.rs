//! Finds an SSD's weights by the names of the Object Detection API's variables, in any format that has
//! them: frozen graph, checkpoint, SavedModel, npz, safetensors.
//!
//! ```text
//! FeatureExtractor/MobilenetV1/Conv2d_1_depthwise/depthwise_weights   and BatchNorm/gamma, ...
//! FeatureExtractor/MobilenetV1/Conv2d_13_pointwise_1_Conv2d_2_1x1_256/weights
//! BoxPredictor_0/{BoxEncodingPredictor,ClassPredictor}/{weights,biases}
//! ```
//!
//! face-api's network, which finds faces, has names of its own: `Prediction/Conv2d_0_pointwise` for
//! the first extra layer, biases where batch normalisation is folded, anchors as corners.

use mobilenet_kernels::ConvKind;
use mobilenet_kernels::batch_norm::BatchNormParameters;
use mobilenet_kernels::inference::LayerShape;
use mobilenet_model::checkpoint::readers::NamedTensors;

use crate::anchors::{Anchor, AnchorOrder, check_anchors};
use crate::error::DetectError;
use crate::floats::{FloatLayer, FloatNetwork, FloatPredictor};
use crate::ssd::{LAST_CHANNELS, Predictor, SsdConfig, SsdLayer};

/// Ends of the names by which a file is recognised. face-api calls the first layer pointwise.
const STEMS: [&str; 2] = [
    "MobilenetV1/Conv2d_0/weights",
    "MobilenetV1/Conv2d_0_pointwise/weights",
];

/// face-api's anchors, `[1, anchors, 4]`, as corners.
const ANCHORS: &str = "Output/extra_dim";

/// face-api's biases where batch normalisation was folded.
const FOLDED: &str = "convolution_bn_offset";

/// Sides of images for which there are SSDs.
const SIDES: [usize; 4] = [300, 320, 512, 640];

/// Layers of the body.
const BODY_LAYERS: usize = 27;
const FIRST_PREDICTOR: &str = "BoxPredictor_0/ClassPredictor/weights";

/// Epsilon of batch normalisation in the API's configurations of SSD.
const EPSILON: f64 = 1e-3;

/// Variables of an SSD.
#[derive(Debug)]
pub struct SsdVariables<'a> {
    file: &'a NamedTensors,
    /// Scopes of the body and of the predictors.
    body: String,
    predictors: String,
}

impl<'a> SsdVariables<'a> {
    /// The variables of a file; `None` if it has no predictors of an SSD.
    pub fn find(file: &'a NamedTensors) -> Option<Self> {
        let scope = |end: &str| {
            let mut names = file.tensors.keys();
            names.find_map(|name| name.strip_suffix(end).map(str::to_string))
        };
        Some(Self {
            file,
            body: STEMS.iter().find_map(|stem| scope(stem))? + "MobilenetV1/",
            predictors: scope(FIRST_PREDICTOR)?,
        })
    }

    /// The file's own anchors, if it has them.
    ///
    /// # Errors
    /// If they have no four numbers each.
    pub fn anchors(&self) -> Result<Option<Vec<Anchor>>, DetectError> {
        if !self.file.tensors.contains_key(ANCHORS) {
            return Ok(None);
        }
        let shape = self.shape(ANCHORS)?.to_vec();
        let corners = self.values(ANCHORS, &shape)?;
        let (corners, rest) = corners.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(DetectError::Shape {
                name: ANCHORS.into(),
                expected: vec![1, corners.len(), 4],
                found: shape,
            });
        }
        let anchors = corners.iter().map(|&[top, left, bottom, right]| {
            [
                (top + bottom) / 2.0,
                (left + right) / 2.0,
                bottom - top,
                right - left,
            ]
        });
        let anchors: Vec<Anchor> = anchors.collect();
        check_anchors(&anchors)?;
        Ok(Some(anchors))
    }

    /// The side of the images for which SSD has so many anchors.
    ///
    /// # Errors
    /// If there is no such side.
    pub fn side(&self, anchors: usize) -> Result<usize, DetectError> {
        for side in SIDES {
            if self
                .config([side; 2], AnchorOrder::default())?
                .anchors()?
                .len()
                == anchors
            {
                return Ok(side);
            }
        }
        Err(DetectError::Setting {
            setting: "the number of anchors".to_string(),
            range: "that of an SSD of 300, 320, 512 or 640 pixels",
            found: anchors.to_string(),
        })
    }

    /// What the shapes of the variables say, for images of `size` rows and columns. Neither size nor
    /// order of the anchors can be seen in them.
    ///
    /// # Errors
    /// If a variable is missing or has an impossible shape.
    pub fn config(&self, size: [usize; 2], order: AnchorOrder) -> Result<SsdConfig, DetectError> {
        let last = format!("{}Conv2d_13_pointwise/weights", self.body);
        let channels = self.shape(&last)?.last().copied().unwrap_or(0);
        let mut config = SsdConfig {
            size,
            ..SsdConfig::new(channels as f64 / LAST_CHANNELS, 1)
        };
        config.anchors.order = order;
        let name = format!("{}{FIRST_PREDICTOR}", self.predictors);
        let scores = self.shape(&name)?.last().copied().unwrap_or(0);
        let per_cell = config
            .network()?
            .predictors
            .first()
            .map_or(1, |one| one.per_cell);
        // The background is one of the columns.
        config.classes = (scores / per_cell.max(1)).saturating_sub(1);
        Ok(config)
    }

    /// The network with its weights, batch normalisation folded in.
    ///
    /// # Errors
    /// If a variable is missing or has another shape.
    pub fn network(&self, config: &SsdConfig) -> Result<FloatNetwork, DetectError> {
        let ssd = config.network()?;
        let layers = ssd.layers.iter().enumerate();
        let layers = layers.map(|(index, layer)| self.layer(index, layer));
        let predictors = ssd.predictors.iter().enumerate();
        let predictors = predictors.map(|(index, one)| self.predictor(index, one));
        Ok(FloatNetwork {
            size: config.size,
            layers: layers.collect::<Result<_, _>>()?,
            predictors: predictors.collect::<Result<_, _>>()?,
        })
    }

    /// The scope of a layer's variables: TensorFlow's, or face-api's if that has weights.
    fn scope(&self, index: usize, name: &str) -> String {
        let other = match index.checked_sub(BODY_LAYERS) {
            None => format!("{}{name}_pointwise/", self.body),
            Some(extra) => format!("{}Conv2d_{extra}_pointwise/", self.predictors),
        };
        match self.file.tensors.contains_key(&format!("{other}weights")) {
            true => other,
            false => format!("{}{name}/", self.body),
        }
    }

    fn layer(&self, index: usize, layer: &SsdLayer) -> Result<FloatLayer, DetectError> {
        let SsdLayer { name, shape } = layer;
        let scope = self.scope(index, name);
        let mut weights = self.weights(&scope, shape)?;
        let channels = [shape.out_channels];
        let folded = format!("{scope}{FOLDED}");
        if self.file.tensors.contains_key(&folded) {
            return Ok(FloatLayer {
                name: name.clone(),
                shape: *shape,
                weights,
                bias: self.values(&folded, &channels)?,
            });
        }
        let norm = |part: &str| self.values(&format!("{scope}BatchNorm/{part}"), &channels);
        // Gamma is left out where it is fixed.
        let gamma = format!("{scope}BatchNorm/gamma");
        let gamma = match self.file.tensors.contains_key(&gamma) {
            true => Some(norm("gamma")?),
            false => None,
        };
        let bias = BatchNormParameters {
            gamma: gamma.as_deref(),
            beta: Some(&norm("beta")?),
            mean: &norm("moving_mean")?,
            variance: &norm("moving_variance")?,
            epsilon: EPSILON,
        }
        .fold_into(&mut weights)?;
        Ok(FloatLayer {
            name: name.clone(),
            shape: *shape,
            weights,
            bias,
        })
    }

    fn predictor(&self, index: usize, one: &Predictor) -> Result<FloatPredictor, DetectError> {
        let head = |name: &str, shape: &LayerShape| {
            let name = format!("BoxPredictor_{index}/{name}");
            let scope = format!("{}{name}/", self.predictors);
            Ok::<_, DetectError>(FloatLayer {
                weights: self.weights(&scope, shape)?,
                bias: self.values(&format!("{scope}biases"), &[shape.out_channels])?,
                shape: *shape,
                name,
            })
        };
        Ok(FloatPredictor {
            reads: one.reads,
            boxes: head("BoxEncodingPredictor", &one.boxes)?,
            scores: head("ClassPredictor", &one.classes)?,
        })
    }

    /// Weights in our order, `[out, in, rows, columns]`.
    fn weights(&self, scope: &str, layer: &LayerShape) -> Result<Vec<f32>, DetectError> {
        let [rows, columns] = layer.geometry.kernel;
        let (name, inputs, outputs) = match layer.kind {
            ConvKind::Conv => ("weights", layer.in_channels, layer.out_channels),
            ConvKind::Depthwise => ("depthwise_weights", layer.out_channels, 1),
        };
        let values = self.values(&format!("{scope}{name}"), &[rows, columns, inputs, outputs])?;
        // TensorFlow's are `[taps, in, out]`, or `[taps, channels, 1]`, where channels are the outputs.
        let taps = rows * columns;
        let [first, second] = match layer.kind {
            ConvKind::Conv => [outputs, inputs],
            ConvKind::Depthwise => [inputs, 1],
        };
        let mut ours = Vec::with_capacity(values.len());
        for out in 0..first {
            for input in 0..second {
                let of_tap = |tap: usize| values[(tap * second + input) * first + out];
                ours.extend((0..taps).map(of_tap));
            }
        }
        Ok(ours)
    }

    fn shape(&self, name: &str) -> Result<&[usize], DetectError> {
        let tensor = self.file.tensors.get(name);
        let tensor = tensor.ok_or_else(|| DetectError::Missing { name: name.into() })?;
        Ok(&tensor.shape)
    }

    /// The values of a variable of a given shape.
    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, DetectError> {
        let found = self.shape(name)?;
        if found != shape {
            return Err(DetectError::Shape {
                name: name.into(),
                expected: shape.to_vec(),
                found: found.to_vec(),
            });
        }
        let values = self
            .file
            .tensors
            .get(name)
            .and_then(|tensor| tensor.to_f32());
        let values = values.ok_or_else(|| DetectError::Missing { name: name.into() })?;
        let count = shape.iter().product::<usize>();
        match values.len() == count {
            true => Ok(values.into_owned()),
            false => Err(DetectError::Count {
                what: "values of a variable",
                expected: count,
                found: values.len(),
            }),
        }
    }
}
