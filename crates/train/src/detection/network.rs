//! A single-shot detector in training: the body as a training program, the layers after it on plain
//! kernels.
//!
//! ```text
//! forward   body -> two maps -> extra layers -> four maps;  each map -> encodings and scores
//! backward  predictors -> maps -> extra layers -> two maps -> body
//! ```

use std::ops::Range;

use mobilenet_detect::SsdConfig;
use mobilenet_detect::ssd::Ssd;
use mobilenet_kernels::Pooling;
use mobilenet_kernels::simd::Isa;
use mobilenet_kernels::training::{
    MapGradient, TrainingHead, TrainingLayer, TrainingNetwork, TrainingOptions, TrainingProgram,
};
use mobilenet_model::ModelError;
use mobilenet_model::architecture::Part;

use super::heads::{ExtraLayer, ExtraRanges, Head, Kept, Map};
use super::layout::{SsdLayout, SsdPart};
use super::loss::Predictions;
use crate::error::TrainError;
use crate::layout::ParameterLayout;

/// Epsilon of batch normalisation in the API's configurations of SSD.
const EPSILON: f64 = 1e-3;

/// Layers of the body.
const BODY: usize = 27;

/// How a detector is computed in training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NetworkOptions {
    /// Images in a batch.
    pub batch: usize,
    /// Threads of the body.
    pub threads: usize,
    /// First layers of the body that are not trained.
    pub frozen_layers: usize,
    /// Whether the body normalises by its running statistics.
    pub frozen_batch_norm: bool,
    /// Decay of the running statistics.
    pub decay: f64,
}

/// A detector in training.
#[derive(Debug)]
pub struct SsdNetwork {
    layout: SsdLayout,
    options: NetworkOptions,
    program: TrainingProgram,
    /// For each map, the layer of the chain that writes it, and its predictors.
    maps: Vec<(usize, [Head; 2])>,
    extras: Vec<ExtraLayer>,
    anchors: usize,
    columns: usize,
    /// Ranges of the running statistics that steps move.
    statistics: Vec<Range<usize>>,
}

impl SsdNetwork {
    /// The layout of a detector's parameters.
    ///
    /// # Errors
    /// If a setting is outside its range.
    pub fn layout_of(config: &SsdConfig) -> Result<SsdLayout, TrainError> {
        Ok(SsdLayout::new(&config.network()?, BODY))
    }

    /// Plans the computation.
    ///
    /// # Errors
    /// If a setting is outside its range, or the images are too small.
    pub fn new(config: &SsdConfig, options: NetworkOptions) -> Result<Self, TrainError> {
        let ssd = config.network()?;
        let layout = SsdLayout::new(&ssd, BODY);
        let network = body(&ssd, &layout, config.size);
        let training = TrainingOptions {
            batch: options.batch,
            threads: options.threads,
            frozen_layers: options.frozen_layers,
            frozen_batch_norm: options.frozen_batch_norm,
            quantization: None,
        };
        let isa = Isa::best().map_err(ModelError::from)?;
        let program = TrainingProgram::new(isa, &network, &training).map_err(ModelError::from)?;
        let range = |index, part| layout.range(SsdPart::Chain(index), part);
        let extras = ssd
            .layers
            .iter()
            .enumerate()
            .skip(BODY)
            .map(|(index, layer)| ExtraLayer {
                shape: layer.shape,
                ranges: ExtraRanges {
                    weights: range(index, Part::Weights),
                    gamma: range(index, Part::Gamma),
                    beta: range(index, Part::Beta),
                    mean: range(index, Part::MovingMean),
                    variance: range(index, Part::MovingVariance),
                },
                epsilon: EPSILON,
            });
        let maps = ssd.predictors.iter().enumerate().map(|(map, one)| {
            let head = |layer, shape: mobilenet_kernels::inference::LayerShape| Head {
                inputs: shape.in_channels,
                outputs: shape.out_channels,
                weights: layout.range(layer, Part::Weights),
                biases: layout.range(layer, Part::Biases),
            };
            let heads = [
                head(SsdPart::Boxes(map), one.boxes),
                head(SsdPart::Scores(map), one.classes),
            ];
            (one.reads, heads)
        });
        let first = match options.frozen_batch_norm {
            true => BODY,
            false => options.frozen_layers,
        };
        let statistics = (first..ssd.layers.len()).flat_map(|index| {
            [Part::MovingMean, Part::MovingVariance].map(|part| range(index, part))
        });
        Ok(Self {
            maps: maps.collect(),
            extras: extras.collect(),
            anchors: config.anchors()?.len(),
            columns: config.columns(),
            statistics: statistics.collect(),
            program,
            options,
            layout,
        })
    }

    /// The layout of the parameters.
    pub fn layout(&self) -> &SsdLayout {
        &self.layout
    }

    /// Values of a batch of images, `[batch, rows, columns, 3]`.
    pub fn images_len(&self) -> usize {
        self.program.images_len()
    }

    /// Ranges of the running statistics that steps move.
    pub fn statistics(&self) -> &[Range<usize>] {
        &self.statistics
    }

    /// Computes a batch. `loss` gets the predictions and writes their gradients. Afterwards `gradients`
    /// holds those of all parameters, and the moved running statistics in their ranges.
    ///
    /// # Errors
    /// If a slice has the wrong length; and what `loss` returns.
    pub fn gradients<T>(
        &mut self,
        parameters: &[f32],
        images: &[f32],
        loss: impl FnOnce(&Predictions, &mut Predictions) -> Result<T, TrainError>,
        gradients: &mut [f32],
    ) -> Result<T, TrainError> {
        let kernel = |error| TrainError::Model(ModelError::Kernel(error));
        TrainError::check_length("parameters", self.layout.values(), parameters.len())?;
        TrainError::check_length("gradients", self.layout.values(), gradients.len())?;
        let batch = self.options.batch;
        let pass = self
            .program
            .forward(parameters, images, None, &mut [])
            .map_err(kernel)?;
        let read = |layer: usize| {
            let ([rows, columns, _], values) = pass.activation(layer).map_err(kernel)?;
            Ok::<_, TrainError>(Map {
                size: [rows, columns],
                values,
            })
        };
        // The maps of the chain from the body's last layer on, which is number BODY - 1.
        let mut chain = vec![read(BODY - 1)?];
        let mut kept: Vec<Kept> = Vec::with_capacity(self.extras.len());
        for (index, extra) in self.extras.iter().enumerate() {
            let (map, of_layer) = extra
                .forward(parameters, batch, &chain[index])
                .map_err(kernel)?;
            chain.push(map);
            kept.push(of_layer);
        }
        let early = self.maps.iter().filter(|(layer, _)| *layer < BODY - 1);
        let early = early.map(|(layer, _)| Ok((*layer, read(*layer)?)));
        let early: Vec<(usize, Map)> = early.collect::<Result<_, TrainError>>()?;
        let map_of = |layer: usize| match layer.checked_sub(BODY - 1) {
            Some(index) => chain.get(index),
            None => early
                .iter()
                .find(|(of, _)| *of == layer)
                .map(|(_, map)| map),
        };
        let mut predictions = Predictions::zeros(batch, self.anchors, self.columns);
        let mut outputs = Vec::new();
        let mut first = 0;
        for (layer, heads) in &self.maps {
            let Some(map) = map_of(*layer) else { continue };
            let [boxes, scores] = heads;
            let boxes = boxes.forward(parameters, &map.values).map_err(kernel)?;
            let scores = scores.forward(parameters, &map.values).map_err(kernel)?;
            let place = Places {
                batch,
                anchors: self.anchors,
                columns: self.columns,
                first,
            };
            let count = place.scatter(&boxes, &scores, &mut predictions);
            outputs.push((place, count));
            first += count;
        }
        let mut of_predictions = Predictions::zeros(batch, self.anchors, self.columns);
        let outcome = loss(&predictions, &mut of_predictions)?;
        // Each map's gradient: from its predictors, and from the next extra layer.
        let zeros = |map: &Map| vec![0.0; map.values.len()];
        let mut of_chain: Vec<Vec<f32>> = chain.iter().map(zeros).collect();
        let mut of_early: Vec<Vec<f32>> = early.iter().map(|(_, map)| zeros(map)).collect();
        // The program writes all gradients of the body, and zeros elsewhere; so it runs first where
        // nothing else has written. Those of the heads are kept aside until then.
        let mut others = vec![0.0; gradients.len()];
        for ((layer, heads), (place, count)) in self.maps.iter().zip(&outputs) {
            let Some(map) = map_of(*layer) else { continue };
            let of_map = match layer.checked_sub(BODY - 1) {
                Some(index) => of_chain.get_mut(index),
                None => {
                    let position = early.iter().position(|(of, _)| of == layer);
                    position.and_then(|position| of_early.get_mut(position))
                }
            };
            let Some(of_map) = of_map else { continue };
            let outputs = place.gather(*count, &of_predictions);
            for (head, output) in heads.iter().zip(&outputs) {
                head.backward(parameters, &map.values, output, of_map, &mut others)
                    .map_err(kernel)?;
            }
        }
        for (index, extra) in self.extras.iter().enumerate().rev() {
            let (input, kept) = (&chain[index], &kept[index]);
            let of_map = std::mem::take(&mut of_chain[index + 1]);
            let of_input = extra
                .backward(parameters, input, kept, &of_map, &mut others)
                .map_err(kernel)?;
            for (sum, value) in of_chain[index].iter_mut().zip(of_input) {
                *sum += value;
            }
        }
        let entering = early
            .iter()
            .zip(&of_early)
            .map(|((layer, _), values)| MapGradient {
                layer: *layer,
                values,
            });
        let last = MapGradient {
            layer: BODY - 1,
            values: &of_chain[0],
        };
        let entering: Vec<MapGradient<'_>> = entering.chain([last]).collect();
        pass.backward_from(&[], &entering, gradients)
            .map_err(kernel)?;
        for (gradient, other) in gradients.iter_mut().zip(&others) {
            *gradient += other;
        }
        for range in &self.statistics {
            gradients[range.clone()].copy_from_slice(&parameters[range.clone()]);
        }
        let decay = self.options.decay;
        self.program
            .update_running_statistics(gradients, decay)
            .map_err(kernel)?;
        for (extra, kept) in self.extras.iter().zip(&kept) {
            extra.statistics(parameters, kept, decay, gradients);
        }
        Ok(outcome)
    }
}

/// Where the boxes of a map are among all of a photo.
#[derive(Debug, Clone, Copy)]
struct Places {
    batch: usize,
    anchors: usize,
    columns: usize,
    /// The first anchor of the map.
    first: usize,
}

impl Places {
    /// Copies what was predicted from the map, and returns the number of its anchors.
    fn scatter(&self, boxes: &[f32], scores: &[f32], to: &mut Predictions) -> usize {
        let (boxes, _) = boxes.as_chunks::<4>();
        let count = boxes.len() / self.batch;
        for image in 0..self.batch {
            let start = image * self.anchors + self.first;
            to.encodings[start..start + count].copy_from_slice(&boxes[image * count..][..count]);
            let width = self.columns;
            to.scores[start * width..(start + count) * width]
                .copy_from_slice(&scores[image * count * width..][..count * width]);
        }
        count
    }

    /// The reverse, for gradients of `count` anchors: boxes, scores.
    fn gather(&self, count: usize, from: &Predictions) -> [Vec<f32>; 2] {
        let (mut boxes, mut scores) = (Vec::new(), Vec::new());
        for image in 0..self.batch {
            let start = image * self.anchors + self.first;
            boxes.extend_from_slice(from.encodings[start..start + count].as_flattened());
            let width = self.columns;
            scores.extend_from_slice(&from.scores[start * width..(start + count) * width]);
        }
        [boxes, scores]
    }
}

/// The body as a network in training without a classifier.
fn body(ssd: &Ssd, layout: &SsdLayout, size: [usize; 2]) -> TrainingNetwork {
    let layers = ssd.layers.iter().take(BODY).enumerate();
    let layers = layers.map(|(index, layer)| {
        let start = |part| layout.range(SsdPart::Chain(index), part).start;
        TrainingLayer {
            kind: layer.shape.kind,
            geometry: layer.shape.geometry,
            in_channels: layer.shape.in_channels,
            out_channels: layer.shape.out_channels,
            weights: start(Part::Weights),
            gamma: Some(start(Part::Gamma)),
            beta: Some(start(Part::Beta)),
            running_mean: start(Part::MovingMean),
            running_variance: start(Part::MovingVariance),
            activation: layer.shape.activation,
        }
    });
    TrainingNetwork {
        image: [size[0], size[1], 3],
        layers: layers.collect(),
        pooling: Pooling::Global,
        head: TrainingHead {
            classes: 0,
            weights: 0,
            bias: 0,
        },
        epsilon: EPSILON,
        parameters: layout.values(),
    }
}
