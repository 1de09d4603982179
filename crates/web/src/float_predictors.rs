//! A detector's predictors in f32: branches of a network, each of which computes the boxes and the
//! scores of a map together.

use mobilenet_kernels::inference::{BranchShape, ConvKind, LayerShape, Output};
use mobilenet_kernels::{Activation, logistic};

use crate::error::WebError;
use crate::network::{add_predictions, count_branches};
use crate::words::{MOST_CHANNELS, Words};

/// The predictors of a network; none if it is no detector.
#[derive(Debug, Default)]
pub(crate) struct Predictors {
    pub(crate) branches: Vec<BranchShape>,
    /// Values of a cell: of its boxes, and of its scores.
    cells: Vec<[usize; 2]>,
}

impl Predictors {
    /// Reads the number of branches, then for each the layer that it reads, its channels for boxes and
    /// for scores, and its window. `maps` has size and channels of each layer's output.
    pub(crate) fn read(
        words: &mut Words<'_>,
        maps: &[([usize; 2], usize)],
    ) -> Result<Self, WebError> {
        let (mut predictors, mut values) = (Self::default(), 0);
        for _ in 0..count_branches(words)? {
            let reads = words.count()?;
            let Some(&(map, in_channels)) = maps.get(reads) else {
                return Err(WebError::Order("a branch reads no layer"));
            };
            let cell = [
                words.size("the channels of boxes", MOST_CHANNELS)?,
                words.size("the channels of scores", MOST_CHANNELS)?,
            ];
            let geometry = words.window()?;
            let out_channels = cell[0] + cell[1];
            add_predictions(&mut values, &geometry, map, out_channels)?;
            predictors.cells.push(cell);
            predictors.branches.push(BranchShape {
                reads,
                shape: LayerShape {
                    kind: ConvKind::Conv,
                    in_channels,
                    out_channels,
                    geometry,
                    activation: Activation::Identity,
                },
            });
        }
        Ok(predictors)
    }

    /// What is read of the network.
    pub(crate) fn outputs(&self) -> Vec<Output> {
        (0..self.branches.len()).map(Output::Branch).collect()
    }

    /// Buffers for outputs of these shapes.
    pub(crate) fn predictions(self, shapes: &[[usize; 3]]) -> Predictions {
        let maps = shapes.iter().map(|shape| vec![0.0; shape.iter().product()]);
        Predictions {
            maps: maps.collect(),
            cells: self.cells,
        }
    }
}

/// What the predictors of a network say of one image.
#[derive(Debug)]
pub(crate) struct Predictions {
    maps: Vec<Vec<f32>>,
    cells: Vec<[usize; 2]>,
}

impl Predictions {
    /// Number of values of the boxes and of the scores.
    pub(crate) fn lengths(&self) -> [usize; 2] {
        let mut lengths = [0; 2];
        for (map, [boxes, scores]) in self.maps.iter().zip(&self.cells) {
            let cells = map.len() / (boxes + scores);
            lengths[0] += cells * boxes;
            lengths[1] += cells * scores;
        }
        lengths
    }

    /// Where the network writes.
    pub(crate) fn outputs(&mut self) -> Vec<&mut [f32]> {
        self.maps.iter_mut().map(Vec::as_mut_slice).collect()
    }

    /// Writes the numbers of the boxes, and the scores after the logistic function.
    pub(crate) fn write(&self, boxes: &mut [f32], scores: &mut [f32]) {
        let (mut boxes, mut numbers) = (boxes.iter_mut(), scores.iter_mut());
        for (map, [own, others]) in self.maps.iter().zip(&self.cells) {
            for cell in map.chunks_exact(own + others) {
                let (of_boxes, of_scores) = cell.split_at(*own);
                for (value, to) in of_boxes.iter().zip(&mut boxes) {
                    *to = *value;
                }
                for (value, to) in of_scores.iter().zip(&mut numbers) {
                    *to = *value;
                }
            }
        }
        logistic(scores);
    }
}
