//! Finds the parts of a detector in a TFLite file.
//!
//! ```text
//! body, extra layers -> 12 predictors -> reshape -> concatenation -> [sigmoid] -> reshape
//!     -> TFLite_Detection_PostProcess, which also has the anchors and the options
//! ```

use mobilenet_kernels::integer::{
    IntegerBranch, IntegerLayer, IntegerNetwork, IntegerType, Quantized, ValueKind, joined, sigmoid,
};
use mobilenet_model::checkpoint::readers::{
    Branched, FloatLayer, TailInput, TailKind, TailOperator,
};

use crate::anchors::{Anchor, check_anchors};
use crate::error::DetectError;
use crate::floats::FloatNetwork;
use crate::labels::ClassNames;
use crate::options::{OPERATOR, read_options};
use crate::post_process::PostProcess;

/// Operators that only pass on what one of them reads. No file has more of them in a row.
const MOST_STEPS: usize = 16;

/// What a file says beside the network.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The anchors.
    pub anchors: Vec<Anchor>,
    /// The options.
    pub post_process: PostProcess,
    /// Names of the classes.
    pub names: ClassNames,
}

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
    /// What the file says beside the network.
    pub rules: Rules,
}

/// A detector that computes with numbers, as its file has it.
#[derive(Debug, Clone)]
pub struct FloatDetector {
    /// The network.
    pub network: FloatNetwork,
    /// What the file says beside the network.
    pub rules: Rules,
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

/// What is joined to an input of the last operator.
struct Traced {
    branches: Vec<usize>,
    with_sigmoid: bool,
    /// What the integers mean when they are joined, and at the end.
    joined: Option<Quantized>,
    meaning: Option<Quantized>,
}

/// Boxes and scores, and what the file says of them.
fn trace<L>(file: &Branched<L>) -> Result<([Traced; 2], Rules), DetectError> {
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
    let rules = Rules {
        anchors: anchors.to_vec(),
        names: ClassNames::new(file.labels.clone(), post_process.classes),
        post_process,
    };
    Ok(([Traced::of(file, boxes)?, Traced::of(file, scores)?], rules))
}

impl Traced {
    /// Follows an input of the last operator back to the branches.
    fn of<L>(file: &Branched<L>, input: &TailInput) -> Result<Self, DetectError> {
        let writers = file.writers();
        let writer = |input: &TailInput| match input {
            TailInput::Tensor(tensor) => writers.get(tensor).copied(),
            _ => None,
        };
        let mut current = input;
        let mut meaning = None;
        let mut with_sigmoid = false;
        for _ in 0..MOST_STEPS {
            let operator: &TailOperator =
                writer(current).ok_or_else(|| wrong("what it reads is computed by no operator"))?;
            meaning = meaning.or(operator.meaning);
            match operator.kind {
                TailKind::Reshape | TailKind::Dequantize => {}
                TailKind::Logistic if !with_sigmoid => with_sigmoid = true,
                TailKind::Concatenation => {
                    let branches = operator.inputs.iter().map(|input| branch(input, writer));
                    return Ok(Self {
                        branches: branches.collect::<Result<_, _>>()?,
                        with_sigmoid,
                        joined: operator.meaning,
                        meaning,
                    });
                }
                _ => return Err(wrong("what it reads is computed in an unknown way")),
            }
            let input = operator.inputs.first();
            current = input.ok_or_else(|| wrong("an operator before it reads nothing"))?;
        }
        Err(wrong("it does not read what was joined from several maps"))
    }
}

/// The branch whose output, in another shape, an input is.
fn branch<'a>(
    mut input: &'a TailInput,
    writer: impl Fn(&TailInput) -> Option<&'a TailOperator>,
) -> Result<usize, DetectError> {
    for _ in 0..MOST_STEPS {
        if let TailInput::Branch(branch) = input {
            return Ok(*branch);
        }
        let reshape = writer(input).filter(|one| one.kind == TailKind::Reshape);
        let Some(before) = reshape.and_then(|one| one.inputs.first()) else {
            break;
        };
        input = before;
    }
    Err(wrong("it joins what is no predictor's"))
}

impl QuantizedDetector {
    /// Finds the parts of a detector in a file.
    ///
    /// # Errors
    /// If the file does not end in the operator that makes detections, or its parts do not go
    /// together.
    pub fn new(file: Branched<IntegerLayer>) -> Result<Self, DetectError> {
        let ([boxes, scores], rules) = trace(&file)?;
        Ok(Self {
            boxes: Joint::new(&file, boxes)?,
            scores: Joint::new(&file, scores)?,
            rules,
            chain: IntegerNetwork {
                input_shape: file.input_shape,
                input: file.input,
                layers: file.layers,
            },
            branches: file
                .branches
                .into_iter()
                .map(|(reads, layer)| IntegerBranch { reads, layer })
                .collect(),
        })
    }
}

impl FloatDetector {
    /// Finds the parts of a detector in a file.
    ///
    /// # Errors
    /// As [`QuantizedDetector::new`].
    pub fn new(file: Branched<FloatLayer>) -> Result<Self, DetectError> {
        let ([boxes, scores], rules) = trace(&file)?;
        if boxes.with_sigmoid || !scores.with_sigmoid {
            return Err(wrong("it does not read boxes, and scores after a sigmoid"));
        }
        let [rows, columns, _] = file.input_shape;
        let joints = [boxes.branches.as_slice(), &scores.branches];
        Ok(Self {
            network: FloatNetwork::new([rows, columns], file.layers, &file.branches, joints)?,
            rules,
        })
    }
}

impl Joint {
    fn new(file: &Branched<IntegerLayer>, traced: Traced) -> Result<Self, DetectError> {
        let (Some(joint), Some(meaning)) = (traced.joined, traced.meaning) else {
            return Err(wrong("it joins numbers, not integers"));
        };
        if meaning.integer != joint.integer {
            return Err(wrong("its input has another type than the predictors"));
        }
        let after = match traced.with_sigmoid {
            true => sigmoid(joint, meaning),
            false => std::array::from_fn(|integer| integer as u8),
        };
        let table = |branch: &usize| {
            let output = file.branches.get(*branch).map(|(_, layer)| layer.output);
            let Some(ValueKind::Quantized(own)) = output else {
                return Err(wrong("a predictor's output is not in integers"));
            };
            let same = own.scale == joint.scale && own.zero_point == joint.zero_point;
            if own.integer != joint.integer || (own.integer == IntegerType::I8 && !same) {
                return Err(wrong("it joins integers of different meanings"));
            }
            Ok(joined(own, joint).map(|byte| after[usize::from(byte)]))
        };
        Ok(Self {
            tables: traced
                .branches
                .iter()
                .map(table)
                .collect::<Result<_, _>>()?,
            branches: traced.branches,
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
