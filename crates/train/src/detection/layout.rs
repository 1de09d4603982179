//! The parameters of a single-shot detector in one vector, by the names of TensorFlow's Object Detection
//! API.

use std::ops::Range;

use mobilenet_detect::SsdConfig;
use mobilenet_detect::ssd::Ssd;
use mobilenet_kernels::ConvKind;
use mobilenet_kernels::inference::LayerShape;
use mobilenet_model::architecture::{Part, body_parameters};
use mobilenet_model::initialize::Parameters;
use mobilenet_model::{BaseConfig, ModelError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::loss::ClassLoss;
use crate::error::TrainError;
use crate::layout::{ParameterLayout, Place};
use crate::optimizer::ParameterGroup;
use crate::recipe::{Recipe, Trainable};

/// The scope of body and extra layers.
const BODY: &str = "FeatureExtractor/MobilenetV1";

/// A layer with parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SsdPart {
    /// A layer of the chain, by its index: the body, and then the extra layers.
    Chain(usize),
    /// The predictor of boxes that reads a map.
    Boxes(usize),
    /// The predictor of scores that reads a map.
    Scores(usize),
}

/// A parameter of a detector.
#[derive(Debug, Clone)]
pub struct SsdParameter {
    /// Its layer.
    pub layer: SsdPart,
    /// Which of the layer's parameters.
    pub part: Part,
    /// The layer's name, by which it is chosen to be trained.
    pub scope: String,
    /// Kind, window and channels of the layer.
    pub shape: LayerShape,
    /// Whether its weights are `[rows, columns, in, out]`.
    pub taps_first: bool,
    place: Place,
}

impl SsdParameter {
    /// Its values in the vector.
    pub fn range(&self) -> Range<usize> {
        self.place.range.clone()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.place.name
    }

    /// Whether training changes it by gradients.
    fn is_trainable(&self) -> bool {
        !matches!(self.part, Part::MovingMean | Part::MovingVariance)
    }
}

/// The parameters of a detector. Weights are `[out, in, rows, columns]`, but those of the extra layers'
/// larger windows `[rows, columns, in, out]`, as their kernels read them.
#[derive(Debug, Clone)]
pub struct SsdLayout {
    parameters: Vec<SsdParameter>,
    values: usize,
    body: usize,
}

impl SsdLayout {
    /// The layout of a network, of whose chain the first `body` layers are the body.
    pub fn new(ssd: &Ssd, body: usize) -> Self {
        let mut layout = Self {
            parameters: Vec::new(),
            values: 0,
            body,
        };
        for (index, layer) in ssd.layers.iter().enumerate() {
            let scope = format!("{BODY}/{}", layer.name);
            let layer_of = SsdPart::Chain(index);
            layout.add(layer_of, Part::Weights, &scope, layer.shape);
            for part in [
                Part::Gamma,
                Part::Beta,
                Part::MovingMean,
                Part::MovingVariance,
            ] {
                layout.add(layer_of, part, &scope, layer.shape);
            }
        }
        for (map, predictor) in ssd.predictors.iter().enumerate() {
            let heads = [
                (SsdPart::Boxes(map), "BoxEncodingPredictor", predictor.boxes),
                (SsdPart::Scores(map), "ClassPredictor", predictor.classes),
            ];
            for (layer, name, shape) in heads {
                let scope = format!("BoxPredictor_{map}/{name}");
                layout.add(layer, Part::Weights, &scope, shape);
                layout.add(layer, Part::Biases, &scope, shape);
            }
        }
        layout
    }

    fn add(&mut self, layer: SsdPart, part: Part, scope: &str, shape: LayerShape) {
        let [rows, columns] = shape.geometry.kernel;
        let (outputs, inputs) = (shape.out_channels, shape.in_channels);
        let is_extra = matches!(layer, SsdPart::Chain(index) if index >= self.body);
        let taps_first = part == Part::Weights && is_extra && rows * columns > 1;
        let (name, dimensions) = match (part, shape.kind) {
            (Part::Weights, ConvKind::Depthwise) => {
                ("depthwise_weights", vec![outputs, 1, rows, columns])
            }
            (Part::Weights, ConvKind::Conv) if taps_first => {
                ("weights", vec![rows, columns, inputs, outputs])
            }
            (Part::Weights, ConvKind::Conv) => ("weights", vec![outputs, inputs, rows, columns]),
            (Part::Biases, _) => ("biases", vec![outputs]),
            (Part::Gamma, _) => ("BatchNorm/gamma", vec![outputs]),
            (Part::Beta, _) => ("BatchNorm/beta", vec![outputs]),
            (Part::MovingMean, _) => ("BatchNorm/moving_mean", vec![outputs]),
            (Part::MovingVariance, _) => ("BatchNorm/moving_variance", vec![outputs]),
        };
        let start = self.values;
        self.values += dimensions.iter().product::<usize>();
        self.parameters.push(SsdParameter {
            layer,
            part,
            scope: scope.to_string(),
            shape,
            taps_first,
            place: Place {
                name: format!("{scope}/{name}"),
                shape: dimensions,
                range: start..self.values,
            },
        });
    }

    /// The parameters.
    pub fn parameters(&self) -> &[SsdParameter] {
        &self.parameters
    }

    /// The range of a layer's parameter; empty if the layer has none of this kind.
    pub fn range(&self, layer: SsdPart, part: Part) -> Range<usize> {
        let mut found = self.parameters.iter();
        let found = found.find(|one| one.layer == layer && one.part == part);
        found.map_or(0..0, SsdParameter::range)
    }

    /// Ranges of all running statistics, in order.
    pub fn running_statistics(&self) -> Vec<Range<usize>> {
        let statistics = self.parameters.iter().filter(|one| !one.is_trainable());
        statistics.map(SsdParameter::range).collect()
    }

    /// Number of first layers of the body that a recipe does not train.
    pub fn frozen_layers(&self, recipe: &Recipe) -> usize {
        let of_layer = |index: &usize| {
            let mut parameters = self.parameters.iter();
            parameters.any(|one| one.layer == SsdPart::Chain(*index) && trains(recipe, &one.scope))
        };
        (0..self.body).take_while(|index| !of_layer(index)).count()
    }

    /// Weights before the first step: the body's from a classifier of this configuration, the others
    /// drawn as TensorFlow draws them.
    ///
    /// # Errors
    /// If the classifier lacks a layer, or has another width.
    pub fn initial(
        &self,
        config: &SsdConfig,
        backbone: &Parameters,
        loss: &ClassLoss,
        seed: u64,
    ) -> Result<Vec<f32>, TrainError> {
        // TensorFlow's configurations: focal loss begins with scores of about 0.01.
        let (deviation, bias) = match loss {
            ClassLoss::HardNegatives(_) => (0.03, 0.0),
            ClassLoss::Focal { .. } => (0.01, -4.6),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let base = BaseConfig {
            depth_multiplier: config.width,
            min_depth: config.min_depth,
            ..BaseConfig::default()
        };
        let body = body_parameters(&base)?;
        let mut values = vec![0.0; self.values];
        let (of_body, others): (Vec<_>, Vec<_>) = (self.parameters.iter())
            .partition(|one| matches!(one.layer, SsdPart::Chain(index) if index < self.body));
        for (target, source) in of_body.iter().zip(&body) {
            let name = source.name();
            let tensor = backbone
                .get(&name)
                .ok_or_else(|| ModelError::Missing { name: name.clone() })?;
            if tensor.shape() != source.shape || target.place.shape != source.shape {
                return Err(TrainError::Model(ModelError::ParameterShape {
                    name,
                    expected: target.place.shape.clone(),
                    found: tensor.shape().to_vec(),
                }));
            }
            values[target.range()].copy_from_slice(tensor.values());
        }
        for one in others {
            let deviation = match one.layer {
                SsdPart::Chain(_) => 0.03,
                SsdPart::Boxes(_) | SsdPart::Scores(_) => deviation,
            };
            let target = &mut values[one.range()];
            match (one.part, one.layer) {
                (Part::Weights, _) => target.fill_with(|| deviation * truncated_normal(&mut rng)),
                (Part::Gamma | Part::MovingVariance, _) => target.fill(1.0),
                (Part::Biases, SsdPart::Scores(_)) => target.fill(bias),
                _ => target.fill(0.0),
            }
        }
        Ok(values)
    }
}

fn trains(recipe: &Recipe, scope: &str) -> bool {
    match &recipe.trainable {
        Trainable::All => true,
        Trainable::Scopes(scopes) => {
            let short = scope
                .strip_prefix(BODY)
                .map_or(scope, |rest| rest.trim_start_matches('/'));
            scopes.iter().any(|wanted| short.starts_with(wanted))
        }
    }
}

/// A number of the normal distribution, drawn again if it is beyond two deviations.
fn truncated_normal(rng: &mut ChaCha8Rng) -> f32 {
    loop {
        // Box and Muller; 1 - u is never 0.
        let (u, v) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
        let number = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        if number.abs() < 2.0 {
            return number as f32;
        }
    }
}

impl ParameterLayout for SsdLayout {
    fn values(&self) -> usize {
        self.values
    }

    fn places(&self) -> Vec<Place> {
        self.parameters
            .iter()
            .map(|one| one.place.clone())
            .collect()
    }

    fn groups(&self, recipe: &Recipe) -> Result<Vec<ParameterGroup>, TrainError> {
        if !self.parameters.iter().any(|one| trains(recipe, &one.scope)) {
            return Err(TrainError::Setting {
                setting: "trainable scopes",
                range: "beginnings of layer names, such as Conv2d_13 or BoxPredictor",
                found: format!("{:?}", recipe.trainable),
            });
        }
        let group = |one: &SsdParameter| {
            let is_norm = matches!(one.part, Part::Gamma | Part::Beta);
            let is_body = matches!(one.layer, SsdPart::Chain(index) if index < self.body);
            let frozen = !one.is_trainable()
                || !trains(recipe, &one.scope)
                || (is_norm && is_body && recipe.frozen_batch_norm);
            let group = ParameterGroup::new(one.range());
            if frozen {
                return group.frozen();
            }
            let is_depthwise = one.shape.kind == ConvKind::Depthwise;
            let decayed = one.part == Part::Weights && (recipe.decay_depthwise || !is_depthwise);
            group.with_weight_decay(if decayed {
                recipe.weight_decay as f32
            } else {
                0.0
            })
        };
        Ok(self.parameters.iter().map(group).collect())
    }

    fn activations(&self) -> usize {
        0
    }
}
