//! SSD's network as data: MobileNetV1's body, extra layers that halve the map, and two predictors
//! on each of six maps.
//!
//! | map | layer | grid at 300 | boxes a cell |
//! |---|---|---|---|
//! | 0 | `Conv2d_11_pointwise` | 19 | 3 |
//! | 1 | `Conv2d_13_pointwise` | 10 | 6 |
//! | 2 to 5 | the second layer of each extra pair | 5, 3, 2, 1 | 6 |

use mobilenet_kernels::inference::LayerShape;
use mobilenet_kernels::{Activation, ConvGeometry, ConvKind, Padding};
use mobilenet_model::architecture::{body_layers, scaled_depth};
use mobilenet_model::{BaseConfig, Endpoint, LayerKind};

use crate::anchors::{Anchor, AnchorRule};
use crate::error::DetectError;
use crate::post_process::MOST_CLASSES;

/// Depths of the extra layers at width 1. The layer before each has half of it.
const EXTRA_DEPTHS: [usize; 4] = [512, 256, 256, 128];

/// Channels of the body's last layer at width 1.
pub(crate) const LAST_CHANNELS: f64 = 1024.0;

/// Block whose output is the first map.
const FIRST_MAP: usize = 11;

/// Largest side of an image.
const MOST_SIDE: usize = 1 << 13;

/// What a single-shot detector is built for.
#[derive(Debug, Clone, PartialEq)]
pub struct SsdConfig {
    /// The width multiplier.
    pub width: f64,
    /// Least channels of a layer: 16 in TensorFlow's detectors, where its classifiers have 8.
    pub min_depth: usize,
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// Number of classes, without the background.
    pub classes: usize,
    /// The anchors.
    pub anchors: AnchorRule,
}

/// A layer of the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct SsdLayer {
    /// Its name in TensorFlow's checkpoints.
    pub name: String,
    /// Kind, window, channels and activation.
    pub shape: LayerShape,
}

/// What reads one of the maps.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictor {
    /// The index of the layer whose map it reads.
    pub reads: usize,
    /// Boxes of a cell.
    pub per_cell: usize,
    /// Four numbers for each box of a cell.
    pub boxes: LayerShape,
    /// A score for each class of each box of a cell, the background first.
    pub classes: LayerShape,
}

/// The layers of a detector.
#[derive(Debug, Clone, PartialEq)]
pub struct Ssd {
    /// One after another; each reads the one before it.
    pub layers: Vec<SsdLayer>,
    /// One for each map, in order.
    pub predictors: Vec<Predictor>,
    /// Rows and columns of each map.
    pub grids: Vec<[usize; 2]>,
}

impl SsdConfig {
    /// SSD 300 for a number of classes.
    pub fn new(width: f64, classes: usize) -> Self {
        Self {
            width,
            min_depth: 16,
            size: [300, 300],
            classes,
            anchors: AnchorRule::default(),
        }
    }

    /// Scores of a box: the classes and the background.
    pub fn columns(&self) -> usize {
        self.classes + 1
    }

    /// The body, which ends at its last layer.
    pub(crate) fn body(&self) -> BaseConfig {
        BaseConfig {
            depth_multiplier: self.width,
            min_depth: self.min_depth,
            ..BaseConfig::default()
        }
    }

    /// The layers.
    ///
    /// # Errors
    /// If a setting is outside its range.
    pub fn network(&self) -> Result<Ssd, DetectError> {
        if self.classes == 0 || self.classes > MOST_CLASSES {
            return Err(DetectError::Limit {
                what: "classes",
                most: MOST_CLASSES,
            });
        }
        if self.size.iter().any(|&side| side == 0 || side > MOST_SIDE) {
            return Err(DetectError::Limit {
                what: "rows and columns",
                most: MOST_SIDE,
            });
        }
        let body = body_layers(&self.body())?;
        let mut layers: Vec<SsdLayer> = Vec::new();
        let mut maps = Vec::new();
        for layer in body {
            let kind = match layer.endpoint.kind {
                LayerKind::Depthwise => ConvKind::Depthwise,
                LayerKind::Conv | LayerKind::Pointwise => ConvKind::Conv,
            };
            let first = Endpoint {
                index: FIRST_MAP,
                kind: LayerKind::Pointwise,
            };
            if [first, Endpoint::LAST].contains(&layer.endpoint) {
                maps.push(layers.len());
            }
            layers.push(SsdLayer {
                name: layer.endpoint.to_string(),
                shape: LayerShape {
                    kind,
                    geometry: layer.geometry,
                    in_channels: layer.in_channels,
                    out_channels: layer.out_channels,
                    activation: Activation::Relu6,
                },
            });
        }
        let depth = |depth| scaled_depth(depth, self.width, self.min_depth);
        let mut channels = layers.last().map_or(0, |last| last.shape.out_channels);
        for (index, extra) in EXTRA_DEPTHS.into_iter().enumerate() {
            let number = index + 2;
            let (half, whole) = (depth(extra / 2), depth(extra));
            for (step, name, kernel, stride, out_channels) in
                [(1, "1x1", 1, 1, half), (2, "3x3_s2", 3, 2, whole)]
            {
                layers.push(SsdLayer {
                    name: format!(
                        "{}_{step}_Conv2d_{number}_{name}_{out_channels}",
                        Endpoint::LAST
                    ),
                    shape: LayerShape {
                        kind: ConvKind::Conv,
                        geometry: ConvGeometry {
                            kernel: [kernel; 2],
                            stride,
                            dilation: 1,
                            padding: Padding::Same,
                        },
                        in_channels: channels,
                        out_channels,
                        activation: Activation::Relu6,
                    },
                });
                channels = out_channels;
            }
            maps.push(layers.len() - 1);
        }
        let predictors = maps.iter().enumerate().map(|(map, &reads)| {
            let per_cell = self.anchors.per_cell(map, maps.len());
            let head = |values: usize| LayerShape {
                kind: ConvKind::Conv,
                geometry: ConvGeometry {
                    padding: Padding::Same,
                    ..ConvGeometry::POINTWISE
                },
                in_channels: layers[reads].shape.out_channels,
                out_channels: per_cell * values,
                activation: Activation::Identity,
            };
            Predictor {
                reads,
                per_cell,
                boxes: head(4),
                classes: head(self.columns()),
            }
        });
        let predictors = predictors.collect();
        let grids = grids(&layers, &maps, self.size)?;
        Ok(Ssd {
            layers,
            predictors,
            grids,
        })
    }

    /// The anchors.
    ///
    /// # Errors
    /// As [`Self::network`], and if there are too many.
    pub fn anchors(&self) -> Result<Vec<Anchor>, DetectError> {
        self.anchors.anchors(&self.network()?.grids, self.size)
    }
}

/// Rows and columns of each layer's output.
fn sizes(layers: &[SsdLayer], size: [usize; 2]) -> Result<Vec<[usize; 2]>, DetectError> {
    let mut current = size;
    let sizes = layers.iter().map(|layer| {
        let size = layer.shape.geometry.resolve(1, current[0], current[1])?;
        current = [size.rows.output, size.columns.output];
        Ok(current)
    });
    sizes.collect()
}

fn grids(
    layers: &[SsdLayer],
    maps: &[usize],
    size: [usize; 2],
) -> Result<Vec<[usize; 2]>, DetectError> {
    let sizes = sizes(layers, size)?;
    Ok(maps.iter().map(|&map| sizes[map]).collect())
}

impl Ssd {
    /// Multiply-adds of the body, the extra layers and the predictors, for an image of `size`.
    ///
    /// # Errors
    /// If a window does not fit.
    pub fn multiply_adds(&self, size: [usize; 2]) -> Result<[u64; 3], DetectError> {
        let sizes = sizes(&self.layers, size)?;
        let of = |shape: &LayerShape, [rows, columns]: [usize; 2]| {
            (rows * columns * weights(shape)) as u64
        };
        let each = self.layers.iter().zip(&sizes);
        let each: Vec<u64> = each.map(|(layer, &size)| of(&layer.shape, size)).collect();
        let (body, extras) = each.split_at(each.len() - 2 * EXTRA_DEPTHS.len());
        let predictors = self.predictors.iter().zip(&self.grids);
        let predictors =
            predictors.map(|(one, &grid)| of(&one.boxes, grid) + of(&one.classes, grid));
        Ok([body.iter().sum(), extras.iter().sum(), predictors.sum()])
    }

    /// Number of weights, without biases and batch normalisation.
    pub fn weights(&self) -> usize {
        let layers = self.layers.iter().map(|layer| weights(&layer.shape));
        let predictors = self.predictors.iter();
        let predictors = predictors.map(|one| weights(&one.boxes) + weights(&one.classes));
        layers.sum::<usize>() + predictors.sum::<usize>()
    }
}

/// Number of weights of a layer.
fn weights(shape: &LayerShape) -> usize {
    let inputs = match shape.kind {
        ConvKind::Conv => shape.in_channels,
        ConvKind::Depthwise => 1,
    };
    shape.geometry.kernel.iter().product::<usize>() * inputs * shape.out_channels
}
