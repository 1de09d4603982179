//! Finds an SSD's weights by the order of operations, in files that describe a graph and have lost the
//! variables' names: ONNX, as tf2onnx converts the Object Detection API's frozen graphs.
//!
//! ```text
//! resize -> x * scale + offset -> 35 convolutions, a chain -> 12 more, which read six of them
//!     -> reshape -> concatenation -> boxes, scores -> suppression
//! ```
//!
//! What comes after the convolutions is not read: anchors, box coder and suppression are those of
//! TensorFlow's SSD. Nor is the size to which the graph resizes photos.

use mobilenet_model::checkpoint::readers::{FloatLayer, NamedTensors};
use mobilenet_model::checkpoint::{Convolutions, GraphConvolution, convolutions};

use crate::error::DetectError;
use crate::floats::{FloatNetwork, FloatPredictor};
use crate::ssd::{LAST_CHANNELS, SsdConfig};

/// The last layer of the body.
const LAST_OF_BODY: usize = 26;

/// Convolutions of an SSD: those that others read, with the last map's, and the predictors.
const CHAIN: usize = 35;
const PREDICTORS: usize = 12;

/// The convolutions of an SSD.
#[derive(Debug)]
pub struct SsdGraph {
    chain: Vec<FloatLayer>,
    /// The predictors, each with the layer of the chain that it reads.
    predictors: Vec<(usize, FloatLayer)>,
    samples: Option<[Vec<f64>; 2]>,
}

impl SsdGraph {
    /// The convolutions of a file; `None` if it has no graph, or one of another structure.
    ///
    /// # Errors
    /// If weights are missing or have impossible shapes.
    pub fn find(path: &str, file: &NamedTensors) -> Result<Option<Self>, DetectError> {
        let found = convolutions(file).map_err(|source| DetectError::Read {
            file: path.to_string(),
            source,
        })?;
        Ok(found.and_then(Self::of))
    }

    fn of(Convolutions { layers, samples }: Convolutions) -> Option<Self> {
        let mut is_read = vec![false; layers.len()];
        for reads in layers.iter().filter_map(|one| one.reads) {
            *is_read.get_mut(reads)? = true;
        }
        let mut ssd = Self {
            chain: Vec::new(),
            predictors: Vec::new(),
            samples,
        };
        // Where each convolution is in the chain, whose end is the last one that is read.
        let mut places = vec![None; layers.len()];
        let mut end = None;
        for (index, GraphConvolution { reads, layer }) in layers.into_iter().enumerate() {
            if !is_read[index] {
                let place = places.get(reads?).copied().flatten()?;
                ssd.predictors.push((place, layer));
            } else if reads == end {
                (end, places[index]) = (Some(index), Some(ssd.chain.len()));
                ssd.chain.push(layer);
            } else {
                return None;
            }
        }
        let counts = (ssd.chain.len(), ssd.predictors.len());
        (counts == (CHAIN, PREDICTORS)).then_some(ssd)
    }

    /// What the shapes say, for images of `size` rows and columns.
    ///
    /// # Errors
    /// If there is no such SSD.
    pub fn config(&self, size: [usize; 2]) -> Result<SsdConfig, DetectError> {
        let last = self.chain.get(LAST_OF_BODY);
        let channels = last.map_or(0, |layer| layer.shape.out_channels);
        let mut config = SsdConfig {
            size,
            ..SsdConfig::new(channels as f64 / LAST_CHANNELS, 1)
        };
        if let Some(first) = config.network()?.predictors.first() {
            let [_, scores] = self.pair(first.reads, first.per_cell)?;
            let columns = scores.shape.out_channels / first.per_cell.max(1);
            // The background is one of the columns.
            config.classes = columns.saturating_sub(1);
        }
        Ok(config)
    }

    /// The network, with the windows and weights of the file.
    ///
    /// # Errors
    /// If a convolution is another than the configuration's.
    pub fn network(&self, config: &SsdConfig) -> Result<FloatNetwork, DetectError> {
        let ssd = config.network()?;
        for (layer, expected) in self.chain.iter().zip(&ssd.layers) {
            // The file's own padding is what will be computed.
            let mut shape = layer.shape;
            shape.geometry.padding = expected.shape.geometry.padding;
            if shape != expected.shape {
                return Err(DetectError::NoDetector {
                    file: layer.name.clone(),
                    problem: format!("expected {:?}, found {:?}", expected.shape, layer.shape),
                });
            }
        }
        let predictors = ssd.predictors.iter().map(|one| {
            let [boxes, scores] = self.pair(one.reads, one.per_cell)?;
            for (layer, expected) in [(boxes, one.boxes), (scores, one.classes)] {
                let of = |shape: mobilenet_kernels::inference::LayerShape| {
                    let kernel = shape.geometry.kernel.to_vec();
                    [kernel, vec![shape.in_channels, shape.out_channels]].concat()
                };
                if of(layer.shape) != of(expected) {
                    return Err(DetectError::Shape {
                        name: layer.name.clone(),
                        expected: of(expected),
                        found: of(layer.shape),
                    });
                }
            }
            Ok(FloatPredictor {
                reads: one.reads,
                boxes: boxes.clone(),
                scores: scores.clone(),
            })
        });
        Ok(FloatNetwork {
            size: config.size,
            predictors: predictors.collect::<Result<_, _>>()?,
            layers: self.chain.clone(),
        })
    }

    /// Mean and deviation of samples from 0 to 1, if the graph has them.
    pub fn normalization(&self) -> Option<[Vec<f32>; 2]> {
        let [scale, offset] = self.samples.as_ref()?;
        let factors = scale.iter().map(|scale| 255.0 * scale);
        let means = factors
            .clone()
            .zip(offset)
            .map(|(f, offset)| (-offset / f) as f32);
        // One for each channel.
        let mean: Vec<f32> = means.cycle().take(3).collect();
        let deviation = factors.map(|factor| (1.0 / factor) as f32);
        let deviation: Vec<f32> = deviation.cycle().take(3).collect();
        let mut all = mean.iter().chain(&deviation);
        all.all(|value| value.is_finite())
            .then_some([mean, deviation])
    }

    /// The predictors of boxes and scores that read a layer: by name, or else by their sizes.
    fn pair(&self, reads: usize, per_cell: usize) -> Result<[&FloatLayer; 2], DetectError> {
        let here = self.predictors.iter().filter(|(place, _)| *place == reads);
        let here: Vec<&FloatLayer> = here.map(|(_, layer)| layer).collect();
        let &[a, b] = here.as_slice() else {
            return Err(DetectError::Count {
                what: "predictors of a map",
                expected: 2,
                found: here.len(),
            });
        };
        let named = |layer: &FloatLayer| layer.name.contains("BoxEncodingPredictor");
        let sized = |layer: &FloatLayer| layer.shape.out_channels == 4 * per_cell;
        match (named(a), named(b), sized(a), sized(b)) {
            (true, false, ..) | (false, false, true, false) => Ok([a, b]),
            (false, true, ..) | (false, false, false, true) => Ok([b, a]),
            _ => Err(DetectError::NoDetector {
                file: a.name.clone(),
                problem: format!("it or {} predicts boxes, which is not to be seen", b.name),
            }),
        }
    }
}
