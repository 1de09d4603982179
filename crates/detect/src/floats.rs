//! A detector in f32, on the inference program: a chain of layers, and a branch on each map that
//! computes its boxes and scores together.

use std::sync::Arc;

use mobilenet_kernels::inference::{
    BranchShape, ImageLayout, Images, LayerShape, Output, PackedWeights, Packer, Pooling, Program,
    ProgramConfig, WeightType,
};
use mobilenet_kernels::simd::Isa;
use mobilenet_kernels::{Activation, ConvGeometry, KernelError, logistic};
pub use mobilenet_model::checkpoint::readers::FloatLayer;

use crate::error::DetectError;
use crate::predictors::{Predicted, columns};

/// The layers that predict boxes and scores from one map.
#[derive(Debug, Clone)]
pub struct FloatPredictor {
    /// Index of the layer whose map they read.
    pub reads: usize,
    /// Four numbers for each box of a cell.
    pub boxes: FloatLayer,
    /// A score, before the logistic function, for each column of each box of a cell.
    pub scores: FloatLayer,
}

impl FloatPredictor {
    /// Both layers as one, the boxes first.
    pub fn joint(&self) -> FloatLayer {
        let both = |one: fn(&FloatLayer) -> &[f32]| [one(&self.boxes), one(&self.scores)].concat();
        FloatLayer {
            name: self.scores.name.clone(),
            shape: self.joint_shape(),
            weights: both(|layer| &layer.weights),
            bias: both(|layer| &layer.bias),
        }
    }

    fn joint_shape(&self) -> LayerShape {
        let [boxes, scores] = [&self.boxes, &self.scores].map(|layer| layer.shape.out_channels);
        LayerShape {
            out_channels: boxes.saturating_add(scores),
            activation: Activation::Identity,
            ..self.boxes.shape
        }
    }
}

/// A detector's layers with their weights.
#[derive(Debug, Clone)]
pub struct FloatNetwork {
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// The chain.
    pub layers: Vec<FloatLayer>,
    /// One for each map, in order.
    pub predictors: Vec<FloatPredictor>,
}

impl FloatNetwork {
    /// A chain, and branches by what they predict: those of the boxes and those of the scores.
    ///
    /// # Errors
    /// If they are not in pairs that read the same map.
    pub fn new(
        size: [usize; 2],
        layers: Vec<FloatLayer>,
        branches: &[(usize, FloatLayer)],
        [boxes, scores]: [&[usize]; 2],
    ) -> Result<Self, DetectError> {
        if boxes.len() != scores.len() {
            return Err(DetectError::Count {
                what: "predictors of scores",
                expected: boxes.len(),
                found: scores.len(),
            });
        }
        let branch = |index: usize| {
            let branch = branches.get(index);
            branch.ok_or_else(|| DetectError::Missing {
                name: format!("predictor {index}"),
            })
        };
        let predictors = boxes.iter().zip(scores).map(|(&boxes, &scores)| {
            let ((reads, boxes), (other, scores)) = (branch(boxes)?, branch(scores)?);
            if reads != other {
                return Err(DetectError::NoDetector {
                    file: scores.name.clone(),
                    problem: "boxes and scores read different maps".to_string(),
                });
            }
            Ok(FloatPredictor {
                reads: *reads,
                boxes: boxes.clone(),
                scores: scores.clone(),
            })
        });
        Ok(Self {
            size,
            predictors: predictors.collect::<Result<_, _>>()?,
            layers,
        })
    }
}

/// Most values of one activation, as in networks of integers.
const MOST_VALUES: usize = 1 << 26;

impl FloatNetwork {
    /// Checks that no activation is so large that a file could take all memory.
    fn check_sizes(&self) -> Result<(), DetectError> {
        let check = |what: &str, [rows, columns]: [usize; 2], channels: usize| {
            let values = rows
                .checked_mul(columns)
                .and_then(|n| n.checked_mul(channels));
            match values {
                Some(1..=MOST_VALUES) => Ok(()),
                _ => Err(DetectError::Setting {
                    setting: format!("the map of {what}"),
                    range: "from 1 to 67,108,864 values",
                    found: format!("{rows}x{columns}x{channels}"),
                }),
            }
        };
        let mut size = self.size;
        check("the image", size, 3)?;
        let mut sizes = Vec::new();
        for FloatLayer { name, shape, .. } in &self.layers {
            let resolved = shape.geometry.resolve(1, size[0], size[1])?;
            size = [resolved.rows.output, resolved.columns.output];
            check(name, size, shape.out_channels)?;
            sizes.push(size);
        }
        for predictor in &self.predictors {
            let channels = predictor.joint_shape().out_channels;
            // Whether the layer exists is checked when the weights are packed.
            let size = sizes.get(predictor.reads).copied().unwrap_or([1, 1]);
            check(&predictor.scores.name, size, channels)?;
        }
        Ok(())
    }
}

/// Packed weights, which any number of plans can share.
#[derive(Debug)]
pub struct FloatWeights {
    network: Arc<PackedWeights>,
    size: [usize; 2],
    geometries: Vec<ConvGeometry>,
    /// Values of a cell: of its boxes, and of its scores.
    cells: Vec<[usize; 2]>,
}

impl FloatWeights {
    /// Packs a network for the machine's best instruction set.
    ///
    /// # Errors
    /// If its layers do not go together, or a weight is not finite.
    pub fn new(network: &FloatNetwork) -> Result<Self, DetectError> {
        let predictors = network.predictors.iter();
        let all = network.layers.iter();
        let all = all.chain(predictors.flat_map(|one| [&one.boxes, &one.scores]));
        for layer in all {
            let numbers = layer.weights.iter().chain(&layer.bias);
            if numbers.fold(false, |broken, value| broken | !value.is_finite()) {
                return Err(DetectError::Weights {
                    layer: layer.name.clone(),
                });
            }
        }
        network.check_sizes()?;
        let shapes: Vec<LayerShape> = network.layers.iter().map(|layer| layer.shape).collect();
        let branches = network.predictors.iter().map(|one| BranchShape {
            reads: one.reads,
            shape: one.joint_shape(),
        });
        let branches: Vec<BranchShape> = branches.collect();
        let isa = Isa::best().map_err(KernelError::from)?;
        let mut packer = Packer::with_branches(WeightType::F32, isa, &shapes, &branches, None)?;
        for layer in &network.layers {
            packer.layer(&layer.weights, &layer.bias)?;
        }
        for predictor in &network.predictors {
            let joint = predictor.joint();
            packer.layer(&joint.weights, &joint.bias)?;
        }
        let cells = network.predictors.iter();
        let cells = cells.map(|one| [&one.boxes, &one.scores].map(|one| one.shape.out_channels));
        Ok(Self {
            network: Arc::new(packer.finish()?),
            size: network.size,
            geometries: shapes.iter().map(|shape| shape.geometry).collect(),
            cells: cells.collect(),
        })
    }

    /// Rows and columns of an image.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }
}

/// A detector in f32, ready to run for one number of threads.
#[derive(Debug)]
pub struct FloatDetectorPlan {
    weights: Arc<FloatWeights>,
    program: Program,
    /// The predictors' outputs.
    maps: Vec<Vec<f32>>,
    columns: usize,
}

impl FloatDetectorPlan {
    /// Plans the computation, and checks that the predictors have `anchors` boxes.
    ///
    /// # Errors
    /// If they have not, or memory or threads are missing.
    pub fn new(
        weights: Arc<FloatWeights>,
        anchors: usize,
        threads: usize,
    ) -> Result<Self, DetectError> {
        let config = ProgramConfig {
            height: weights.size[0],
            width: weights.size[1],
            geometries: weights.geometries.clone(),
            outputs: (0..weights.cells.len()).map(Output::Branch).collect(),
            pooling: Pooling::Global,
            layout: ImageLayout::Nhwc,
            threads,
            normalization: None,
        };
        let program = Program::new(Arc::clone(&weights.network), &config)?;
        let shapes = program.output_shapes();
        let cells = shapes.iter().zip(&weights.cells);
        let predicted = cells.map(|(&[rows, columns, _], &[boxes, scores])| Predicted {
            cells: rows * columns,
            boxes,
            scores,
        });
        let columns = columns(&predicted.collect::<Vec<_>>(), anchors)?;
        let maps = shapes.iter().map(|shape| vec![0.0; shape.iter().product()]);
        Ok(Self {
            maps: maps.collect(),
            weights,
            program,
            columns,
        })
    }

    /// Scores of a box.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Runs one normalised image, `[rows, columns, 3]`, and returns the boxes' encodings and their
    /// scores after the logistic function.
    ///
    /// # Errors
    /// If the image has another size than the network's.
    pub fn run(&mut self, image: &[f32]) -> Result<[Vec<f32>; 2], DetectError> {
        let [encodings, mut scores] = self.logits(image)?;
        logistic(&mut scores);
        Ok([encodings, scores])
    }

    /// As [`Self::run`], but the scores are those before the logistic function.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn logits(&mut self, image: &[f32]) -> Result<[Vec<f32>; 2], DetectError> {
        let mut outputs: Vec<&mut [f32]> = self.maps.iter_mut().map(Vec::as_mut_slice).collect();
        let image = Images::F32(image, ImageLayout::Nhwc);
        self.program.run_all(&image, &mut outputs)?;
        let cells = self.maps.iter().zip(&self.weights.cells);
        let lengths = cells.fold([0; 2], |[all, others], (map, &[boxes, scores])| {
            let cells = map.len() / (boxes + scores);
            [all + cells * boxes, others + cells * scores]
        });
        let [mut encodings, mut logits] = lengths.map(Vec::with_capacity);
        for (map, &[boxes, columns]) in self.maps.iter().zip(&self.weights.cells) {
            for cell in map.chunks_exact(boxes + columns) {
                let (boxes, columns) = cell.split_at(boxes);
                encodings.extend_from_slice(boxes);
                logits.extend_from_slice(columns);
            }
        }
        Ok([encodings, logits])
    }
}
