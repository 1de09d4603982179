//! Finds the parts of a detector in a quantised TFLite file.
//!
//! ```text
//! body, extra layers -> 12 predictors -> reshape -> concatenation -> [sigmoid] -> reshape
//!     -> TFLite_Detection_PostProcess, which also has the anchors and the options
//! ```

use mobilenet_kernels::integer::{
    IntegerBranch, IntegerNetwork, IntegerType, Quantized, ValueKind, joined, sigmoid,
};
use mobilenet_model::checkpoint::readers::{BranchedIntegers, TailInput, TailKind, TailOperator};

use crate::anchors::{Anchor, check_anchors};
use crate::error::DetectError;
use crate::labels::ClassNames;
use crate::options::{OPERATOR, read_options};
use crate::post_process::PostProcess;

/// Operators that only pass on what one of them reads. No file has more of them in a row.
const MOST_STEPS: usize = 16;

/// A quantised detector as its file has it.
#[derive(Debug, Clone)]
pub struct QuantizedDetector {
    /// Layers one after another.
    pub chain: IntegerNetwork,
    /// The predictors.
    pub branches: Vec<IntegerBranch>,
    /// How the boxes' encodings are joined.
    pub boxes: Joint,
    /// How the scores are joined, after the logistic function.
    pub scores: Joint,
    /// The file's anchors.
    pub anchors: Vec<Anchor>,
    /// The file's options.
    pub post_process: PostProcess,
    /// Names of the classes.
    pub names: ClassNames,
}

/// Branches that are joined to one tensor.
#[derive(Debug, Clone)]
pub struct Joint {
    /// Their indices, in order.
    pub branches: Vec<usize>,
    /// For each of them, what the tensor has in place of its integers, both counted from the least
    /// of their type.
    pub tables: Vec<[u8; 256]>,
    /// What the tensor's integers mean.
    pub meaning: Quantized,
}

fn wrong(problem: impl ToString) -> DetectError {
    DetectError::Options {
        operator: OPERATOR,
        problem: problem.to_string(),
    }
}

impl QuantizedDetector {
    /// Finds the parts of a detector in a file.
    ///
    /// # Errors
    /// If the file does not end in the operator that makes detections, or its parts do not go
    /// together.
    pub fn new(file: BranchedIntegers) -> Result<Self, DetectError> {
        let operators = file.tail.iter();
        let last = operators.rev().find_map(|operator| match &operator.kind {
            TailKind::Custom { name, options } if name == OPERATOR => Some((operator, options)),
            _ => None,
        });
        let (operator, options) = last.ok_or_else(|| wrong("the file has no such operator"))?;
        let post_process = read_options(options)?;
        let [boxes, scores, anchors] = operator.inputs.as_slice() else {
            let found = operator.inputs.len();
            return Err(wrong(format!("it reads {found} tensors, expected 3")));
        };
        let TailInput::Constant(anchors) = anchors else {
            return Err(wrong("its anchors are no constant"));
        };
        let anchors = anchors.to_f32().unwrap_or_default();
        let (anchors, rest) = anchors.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(wrong("its anchors have no four numbers each"));
        }
        check_anchors(anchors)?;
        Ok(Self {
            boxes: Joint::of(&file, boxes)?,
            scores: Joint::of(&file, scores)?,
            anchors: anchors.to_vec(),
            names: ClassNames::new(file.labels, post_process.classes),
            post_process,
            chain: file.chain,
            branches: file.branches,
        })
    }
}

impl Joint {
    /// Follows an input of the last operator back to the branches.
    fn of(file: &BranchedIntegers, input: &TailInput) -> Result<Self, DetectError> {
        let writers = file.writers();
        let mut current = input;
        let mut meaning = None;
        let mut with_sigmoid = false;
        for _ in 0..MOST_STEPS {
            let TailInput::Tensor(tensor) = current else {
                break;
            };
            let writer: &TailOperator = writers
                .get(tensor)
                .ok_or_else(|| wrong("what it reads is computed by no operator"))?;
            let own = writer.meaning;
            meaning = meaning.or(own);
            match writer.kind {
                TailKind::Reshape | TailKind::Dequantize => {}
                TailKind::Logistic if !with_sigmoid => with_sigmoid = true,
                TailKind::Concatenation => {
                    let own = own.ok_or_else(|| wrong("it joins numbers, not integers"))?;
                    let meaning = meaning.unwrap_or(own);
                    return Self::join(file, writer, own, meaning, with_sigmoid);
                }
                _ => return Err(wrong("what it reads is computed in an unknown way")),
            }
            current = writer
                .inputs
                .first()
                .ok_or_else(|| wrong("an operator before it reads nothing"))?;
        }
        Err(wrong("it does not read what was joined from several maps"))
    }

    /// `joint` is what the concatenation's integers mean, `meaning` what those after it mean.
    fn join(
        file: &BranchedIntegers,
        writer: &TailOperator,
        joint: Quantized,
        meaning: Quantized,
        with_sigmoid: bool,
    ) -> Result<Self, DetectError> {
        let writers = file.writers();
        if meaning.integer != joint.integer {
            return Err(wrong("its input has another type than the predictors"));
        }
        let after = match with_sigmoid {
            true => sigmoid(joint, meaning),
            false => std::array::from_fn(|integer| integer as u8),
        };
        let (mut branches, mut tables) = (Vec::new(), Vec::new());
        for input in &writer.inputs {
            let mut current = input;
            let mut steps = 0;
            let branch = loop {
                match current {
                    TailInput::Branch(branch) => break *branch,
                    TailInput::Tensor(tensor) if steps < MOST_STEPS => {
                        let reshape = writers.get(tensor);
                        let reshape = reshape.filter(|one| one.kind == TailKind::Reshape);
                        let input = reshape.and_then(|one| one.inputs.first());
                        current = input.ok_or_else(|| wrong("it joins what is no predictor's"))?;
                    }
                    _ => return Err(wrong("it joins what is no predictor's")),
                }
                steps += 1;
            };
            let output = file.branches.get(branch).map(|branch| branch.layer.output);
            let Some(ValueKind::Quantized(own)) = output else {
                return Err(wrong("a predictor's output is not in integers"));
            };
            let same = own.scale == joint.scale && own.zero_point == joint.zero_point;
            if own.integer != joint.integer || (own.integer == IntegerType::I8 && !same) {
                return Err(wrong("it joins integers of different meanings"));
            }
            let table = joined(own, joint).map(|byte| after[usize::from(byte)]);
            branches.push(branch);
            tables.push(table);
        }
        Ok(Self {
            branches,
            tables,
            meaning,
        })
    }

    /// The number that a byte of the tensor means.
    pub fn numbers(&self) -> [f32; 256] {
        let Quantized {
            integer,
            scale,
            zero_point,
        } = self.meaning;
        std::array::from_fn(|byte| {
            (byte as i32 + integer.min()).wrapping_sub(zero_point) as f32 * scale
        })
    }
}
