//! A detector's predictors: branches of a network of integers, and the numbers that their bytes mean.

use mobilenet_kernels::integer::{
    IntegerBranch, IntegerLayer, IntegerOutput, IntegerType, Integers, ValueKind,
};

use crate::error::{WebError, check_size};
use crate::network::{MOST_LAYERS, floats};
use crate::words::Words;

/// Numbers of the values of a byte.
const VALUES: usize = 1 << 8;
/// Their bytes in the file.
pub(crate) const BYTES_OF_NUMBERS: usize = 4 * VALUES;

/// The predictors of a network, whose weights are still to come.
#[derive(Debug, Default)]
pub(crate) struct Predictors {
    pub(crate) branches: Vec<IntegerBranch>,
    /// For each branch, the number of each byte, counted from the least of its type.
    pub(crate) numbers: Vec<Vec<f32>>,
    /// The branches that predict boxes, and those that predict scores, as they are joined.
    joined: [Vec<usize>; 2],
}

impl Predictors {
    /// Reads which branches predict boxes and which predict scores.
    pub(crate) fn read_joined(&mut self, words: &mut Words<'_>) -> Result<(), WebError> {
        for joined in &mut self.joined {
            let count = words.size("the number of predictors", MOST_LAYERS)?;
            for _ in 0..count {
                let index = words.count()?;
                check_size("a predictor", index.saturating_add(1), self.branches.len())?;
                joined.push(index);
            }
        }
        Ok(())
    }

    /// Adds a branch that reads a layer.
    pub(crate) fn push(&mut self, reads: usize, layer: IntegerLayer) {
        self.branches.push(IntegerBranch { reads, layer });
        self.numbers.push(Vec::new());
    }

    /// Keeps what the bytes of a branch mean.
    pub(crate) fn set_numbers(&mut self, branch: usize, bytes: &[u8]) {
        if let Some(numbers) = self.numbers.get_mut(branch) {
            *numbers = floats(bytes);
        }
    }

    /// What the caller reads of the network, the boxes first.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = usize> {
        self.joined.iter().flatten().copied()
    }

    /// Buffers for outputs of these shapes.
    pub(crate) fn predictions(self, shapes: &[[usize; 3]]) -> Predictions {
        let outputs = self.outputs().zip(shapes);
        let maps = outputs.map(|(branch, shape)| {
            let length = shape.iter().product();
            let output = self.branches.get(branch).map(|branch| branch.layer.output);
            let bytes = match output {
                Some(ValueKind::Quantized(meaning)) if meaning.integer == IntegerType::I8 => {
                    Integers::I8(vec![0; length])
                }
                _ => Integers::U8(vec![0; length]),
            };
            let numbers = self.numbers.get(branch).cloned().unwrap_or_default();
            Map { bytes, numbers }
        });
        Predictions {
            maps: maps.collect(),
            boxes: self.joined[0].len(),
        }
    }
}

/// What the predictors of a network say of one image.
#[derive(Debug)]
pub(crate) struct Predictions {
    maps: Vec<Map>,
    /// How many of the maps are of boxes; the others are of scores.
    boxes: usize,
}

/// A predictor's output.
#[derive(Debug)]
struct Map {
    bytes: Integers,
    numbers: Vec<f32>,
}

impl Predictions {
    /// Number of values of the boxes and of the scores.
    pub(crate) fn lengths(&self) -> [usize; 2] {
        let (boxes, scores) = self.maps.split_at(self.boxes.min(self.maps.len()));
        [boxes, scores].map(|maps| maps.iter().map(|map| map.bytes.len()).sum())
    }

    /// Where the network writes.
    pub(crate) fn outputs(&mut self) -> Vec<IntegerOutput<'_>> {
        let outputs = self.maps.iter_mut().map(|map| match &mut map.bytes {
            Integers::U8(values) => IntegerOutput::U8(values),
            Integers::I8(values) => IntegerOutput::I8(values),
        });
        outputs.collect()
    }

    /// Writes the numbers of the boxes and of the scores, one map after the other.
    pub(crate) fn write(&self, boxes: &mut [f32], scores: &mut [f32]) {
        let (of_boxes, of_scores) = self.maps.split_at(self.boxes.min(self.maps.len()));
        for (maps, to) in [(of_boxes, boxes), (of_scores, scores)] {
            let mut to = to.iter_mut();
            for Map { bytes, numbers } in maps {
                let number = |byte: u8| numbers.get(usize::from(byte)).copied().unwrap_or(0.0);
                match bytes {
                    Integers::U8(values) => {
                        for (value, to) in values.iter().zip(&mut to) {
                            *to = number(*value);
                        }
                    }
                    Integers::I8(values) => {
                        for (value, to) in values.iter().zip(&mut to) {
                            *to = number(*value as u8 ^ 0x80);
                        }
                    }
                }
            }
        }
    }
}
