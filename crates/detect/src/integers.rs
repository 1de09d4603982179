//! A detector in the integers of a quantised file.
//!
//! ```text
//! layers and branches -> kernels/integer        two branches on each of the maps
//! branches            -> tables of 256 results  what the file's concatenation and sigmoid make of them
//! ```

use std::sync::Arc;

use mobilenet_kernels::KernelError;
use mobilenet_kernels::integer::{
    Arithmetic, IntegerBranch, IntegerImages, IntegerNetwork, IntegerOutput, IntegerProgram,
    IntegerProgramConfig, IntegerType, Integers, PackedIntegers,
};
use mobilenet_kernels::simd::IntegerIsa;

use crate::error::DetectError;
use crate::predictors::{Predicted, columns};
use crate::tflite::Joint;

/// Packed weights, which any number of plans can share, and what follows them.
#[derive(Debug)]
pub struct IntegerWeights {
    network: Arc<PackedIntegers>,
    /// Number of layers of the chain.
    layers: usize,
    boxes: Joint,
    scores: Joint,
}

impl IntegerWeights {
    /// Packs a detector's network for the machine's best instruction set.
    ///
    /// # Errors
    /// If it cannot be computed.
    pub fn new(
        chain: IntegerNetwork,
        branches: Vec<IntegerBranch>,
        joints: [Joint; 2],
        arithmetic: Arithmetic,
    ) -> Result<Self, DetectError> {
        let isa = IntegerIsa::best().map_err(KernelError::from)?;
        Self::for_isa(isa, chain, branches, joints, arithmetic)
    }

    /// As [`Self::new`], for given instructions.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn for_isa(
        isa: IntegerIsa,
        chain: IntegerNetwork,
        branches: Vec<IntegerBranch>,
        joints: [Joint; 2],
        arithmetic: Arithmetic,
    ) -> Result<Self, DetectError> {
        let layers = chain.layers.len();
        let network = PackedIntegers::with_branches(chain, branches, arithmetic, isa)?;
        let [boxes, scores] = joints;
        Ok(Self {
            network: Arc::new(network),
            layers,
            boxes,
            scores,
        })
    }

    /// Rows and columns of an image.
    pub fn size(&self) -> [usize; 2] {
        let [rows, columns, _] = self.network.input_shape();
        [rows, columns]
    }
}

/// A detector in integers, ready to run for one number of threads.
#[derive(Debug)]
pub struct IntegerDetectorPlan {
    weights: Arc<IntegerWeights>,
    program: IntegerProgram,
    /// The predictors' outputs: those of the boxes, then those of the scores.
    buffers: Vec<Integers>,
    /// Numbers of the bytes of boxes and of scores.
    numbers: [[f32; 256]; 2],
    columns: usize,
}

impl IntegerDetectorPlan {
    /// Plans the computation, and checks that the file's predictors have `anchors` boxes.
    ///
    /// # Errors
    /// If they have not, or memory or threads are missing.
    pub fn new(
        weights: Arc<IntegerWeights>,
        anchors: usize,
        threads: usize,
    ) -> Result<Self, DetectError> {
        let [boxes, scores] = [&weights.boxes, &weights.scores].map(|joint| &joint.branches);
        let outputs = boxes.iter().chain(scores);
        let config = IntegerProgramConfig {
            size: weights.size(),
            outputs: outputs.map(|branch| weights.layers + branch).collect(),
            threads,
        };
        if boxes.len() != scores.len() {
            return Err(DetectError::Count {
                what: "predictors of scores",
                expected: boxes.len(),
                found: scores.len(),
            });
        }
        let program = IntegerProgram::new(Arc::clone(&weights.network), &config)?;
        let shapes = program.output_shapes();
        let (of_boxes, of_scores) = shapes.split_at(boxes.len());
        let pairs = of_boxes.iter().zip(of_scores);
        let maps = pairs.map(|(&[rows, columns, boxes], &[.., scores])| Predicted {
            cells: rows * columns,
            boxes,
            scores,
        });
        let columns = columns(&maps.collect::<Vec<_>>(), anchors)?;
        let buffers = shapes.iter().enumerate().map(|(index, shape)| {
            let count = shape.iter().product();
            let joint = match index < boxes.len() {
                true => &weights.boxes,
                false => &weights.scores,
            };
            match joint.meaning.integer {
                IntegerType::U8 => Integers::U8(vec![0; count]),
                IntegerType::I8 => Integers::I8(vec![0; count]),
            }
        });
        let buffers = buffers.collect();
        let numbers = [weights.boxes.numbers(), weights.scores.numbers()];
        Ok(Self {
            weights,
            program,
            buffers,
            numbers,
            columns,
        })
    }

    /// Scores of a box.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Runs one image, and returns the boxes' encodings and their scores.
    ///
    /// # Errors
    /// If the image has another size or type than the network's.
    pub fn run(&mut self, image: &IntegerImages<'_>) -> Result<[Vec<f32>; 2], DetectError> {
        let numbers = self.numbers;
        let bytes = self.run_raw(image)?;
        let mut numbers = numbers.iter();
        Ok(bytes.map(|bytes| {
            let numbers = numbers.next().unwrap_or(&[0.0; 256]);
            bytes
                .iter()
                .map(|&byte| numbers[usize::from(byte)])
                .collect()
        }))
    }

    /// As [`Self::run`], but the file's own integers, each minus the least of its type.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_raw(&mut self, image: &IntegerImages<'_>) -> Result<[Vec<u8>; 2], DetectError> {
        let outputs = self.buffers.iter_mut().map(|buffer| match buffer {
            Integers::U8(values) => IntegerOutput::U8(values),
            Integers::I8(values) => IntegerOutput::I8(values),
        });
        self.program.run(image, &mut outputs.collect::<Vec<_>>())?;
        let (boxes, scores) = self.buffers.split_at(self.weights.boxes.branches.len());
        let joined = |joint: &Joint, buffers: &[Integers]| {
            let mut bytes = Vec::with_capacity(buffers.iter().map(Integers::len).sum());
            for (table, buffer) in joint.tables.iter().zip(buffers) {
                match buffer {
                    Integers::U8(values) => {
                        bytes.extend(values.iter().map(|&value| table[usize::from(value)]));
                    }
                    Integers::I8(values) => bytes.extend(
                        values
                            .iter()
                            .map(|&value| table[usize::from(value as u8 ^ 0x80)]),
                    ),
                }
            }
            bytes
        };
        Ok([
            joined(&self.weights.boxes, boxes),
            joined(&self.weights.scores, scores),
        ])
    }
}
