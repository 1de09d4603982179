//! Compares training steps with fake quantisation with PyTorch, on every instruction set. The script
//! is beside the golden file. Steps that only measure ranges equal plain steps.

use std::collections::HashMap;
use std::path::Path;

use mobilenet_kernels::backward::cross_entropy::CrossEntropy;
use mobilenet_kernels::fake_quantization::WeightScheme;
use mobilenet_kernels::simd::Isa;
use mobilenet_kernels::training::{
    FakeQuantization, MovingRanges, TrainingHead, TrainingLayer, TrainingNetwork, TrainingOptions,
    TrainingProgram,
};
use mobilenet_kernels::{Activation, ConvGeometry, ConvKind, Padding, Pooling};
use safetensors::SafeTensors;

use crate::instruction_sets::on_each_instruction_set;

const BATCH: usize = 4;
const IMAGE: [usize; 3] = [9, 7, 3];
const CLASSES: usize = 5;

/// Relative to the largest value of a tensor, or to 1/50 of the largest gradient if that is more.
const TOLERANCE: f32 = 2e-5;

/// Name, kind, kernel, input channels, output channels, stride.
type Layer = (&'static str, ConvKind, usize, usize, usize, usize);

const LAYERS: [Layer; 5] = [
    ("conv", ConvKind::Conv, 3, 3, 7, 2),
    ("depthwise_1", ConvKind::Depthwise, 3, 7, 7, 1),
    ("pointwise_1", ConvKind::Conv, 1, 7, 12, 1),
    ("depthwise_2", ConvKind::Depthwise, 3, 12, 12, 2),
    ("pointwise_2", ConvKind::Conv, 1, 12, 17, 1),
];

/// The golden file, and where each parameter begins.
struct Golden {
    tensors: HashMap<String, Vec<f32>>,
    metadata: HashMap<String, String>,
    places: Vec<(String, std::ops::Range<usize>)>,
}

impl Golden {
    fn open() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let bytes = std::fs::read(folder.join("quantized_step.safetensors")).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().clone().unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let values = |bytes: &[u8]| {
            let chunks = bytes.chunks_exact(4);
            chunks
                .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
                .collect()
        };
        let tensors = file.tensors().into_iter();
        let tensors = tensors
            .map(|(name, view)| (name, values(view.data())))
            .collect();
        let (mut places, mut end) = (Vec::new(), 0);
        for entry in metadata["parameters"].split(',') {
            let (name, len) = entry.split_once(' ').unwrap();
            let start = end;
            end += len.parse::<usize>().unwrap();
            places.push((name.to_string(), start..end));
        }
        Self {
            tensors,
            metadata,
            places,
        }
    }

    fn place(&self, name: &str) -> usize {
        let place = self.places.iter().find(|(found, _)| found == name);
        place.unwrap().1.start
    }

    fn labels(&self) -> Vec<u32> {
        let labels = self.metadata["labels"].split(',');
        labels.map(|label| label.parse().unwrap()).collect()
    }

    fn network(&self) -> TrainingNetwork {
        let layer = |&(name, kind, kernel, in_channels, out_channels, stride): &Layer| {
            let place = |part: &str| self.place(&format!("{name}.{part}"));
            TrainingLayer {
                kind,
                geometry: ConvGeometry {
                    kernel: [kernel; 2],
                    stride,
                    dilation: 1,
                    padding: Padding::Same,
                },
                in_channels,
                out_channels,
                weights: place("weight"),
                gamma: Some(place("gamma")),
                beta: Some(place("beta")),
                running_mean: place("mean"),
                running_variance: place("variance"),
                activation: Activation::Relu6,
            }
        };
        TrainingNetwork {
            image: IMAGE,
            layers: LAYERS.iter().map(layer).collect(),
            pooling: Pooling::Global,
            head: TrainingHead {
                classes: CLASSES,
                weights: self.place("logits.weight"),
                bias: self.place("logits.bias"),
            },
            epsilon: 1e-3,
            parameters: self.tensors["parameters"].len(),
        }
    }

    fn ranges(&self) -> MovingRanges<'_> {
        MovingRanges {
            biased: &self.tensors["biased"],
            steps: self.metadata["steps"].parse().unwrap(),
        }
    }
}

#[derive(Debug, PartialEq)]
struct Step {
    logits: Vec<f32>,
    loss: f64,
    biased: Vec<f32>,
    gradients: Vec<f32>,
}

fn step(isa: Isa, golden: &Golden, options: &TrainingOptions) -> Step {
    let mut program = TrainingProgram::new(isa, &golden.network(), options).unwrap();
    let (parameters, images) = (&golden.tensors["parameters"], &golden.tensors["images"]);
    let images = &images[..program.images_len()];
    let mut logits = vec![0.0; program.logits_len()];
    let mut gradients = vec![f32::NAN; parameters.len()];
    let (mut loss, mut biased) = (0.0, Vec::new());
    // The second run starts with an arena that is not all zeros.
    for _ in 0..2 {
        let pass = match options.quantization {
            None => program.forward(parameters, images, None, &mut logits),
            Some(_) => {
                let ranges = golden.ranges();
                program.forward_quantized(parameters, ranges, images, None, &mut logits)
            }
        };
        let pass = pass.unwrap();
        biased = pass.ranges().to_vec();
        let labels = &golden.labels()[..options.batch];
        let cross_entropy = CrossEntropy::new(&logits, labels, CLASSES, 0.0).unwrap();
        loss = cross_entropy.loss();
        let mut of_logits = vec![0.0; logits.len()];
        cross_entropy.gradient(1.0, &mut of_logits).unwrap();
        pass.backward(&of_logits, &mut gradients).unwrap();
    }
    Step {
        logits,
        loss,
        biased,
        gradients,
    }
}

fn options(
    quantization: Option<FakeQuantization>,
    frozen: bool,
    [batch, threads]: [usize; 2],
) -> TrainingOptions {
    TrainingOptions {
        batch,
        threads,
        frozen_layers: 0,
        frozen_batch_norm: frozen,
        quantization,
    }
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

fn close(what: &str, found: &[f32], expected: &[f32], floor: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = largest(expected).max(floor);
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs() / scale;
        let values = format!("{found} instead of {expected}");
        assert!(error <= TOLERANCE, "{what} {i}: {values} ({error:e})");
    }
}

fn steps_equal_pytorch(isa: Isa) {
    use FakeQuantization::{Integers, Round};
    use WeightScheme::{PerChannel, PerTensor};
    let golden = Golden::open();
    let integers = Integers {
        scheme: PerTensor,
        pixel: 1.0 / 128.0,
    };
    for (run, quantization, frozen, batch) in [
        ("per_tensor", Round(PerTensor), false, BATCH),
        ("per_channel", Round(PerChannel), false, BATCH),
        ("one_image", Round(PerTensor), false, 1),
        ("frozen", Round(PerTensor), true, BATCH),
        ("integers", integers, false, BATCH),
    ] {
        for threads in [1, 3] {
            let options = options(Some(quantization), frozen, [batch, threads]);
            let found = step(isa, &golden, &options);
            let expected = |what: &str| &golden.tensors[&format!("{run}.{what}")];
            let what = |what: &str| format!("{isa}, {run}, {threads} threads: {what}");
            close(&what("logit"), &found.logits, expected("logits"), 0.0);
            close(&what("range"), &found.biased, expected("biased"), 0.0);
            let loss: f64 = golden.metadata[&format!("{run}.loss")].parse().unwrap();
            assert!((found.loss - loss).abs() < 1e-5 * loss, "{}", found.loss);
            let gradients = expected("gradients");
            let floor = largest(gradients) / 50.0;
            for (name, range) in &golden.places {
                let (found, expected) =
                    (&found.gradients[range.clone()], &gradients[range.clone()]);
                close(&what(name), found, expected, floor);
            }
        }
    }
}

fn measuring_changes_nothing_but_the_ranges(isa: Isa) {
    let golden = Golden::open();
    let plain = step(isa, &golden, &options(None, false, [BATCH, 2]));
    let measure = Some(FakeQuantization::Measure);
    let measured = step(isa, &golden, &options(measure, false, [BATCH, 2]));
    assert!(measured.biased != golden.tensors["biased"]);
    let biased = Vec::new();
    assert_eq!(Step { biased, ..measured }, plain);
}

on_each_instruction_set! {
    steps_equal_pytorch
    measuring_changes_nothing_but_the_ranges
}

#[test]
fn a_program_with_fake_quantisation_needs_ranges() {
    let golden = Golden::open();
    let measure = Some(FakeQuantization::Measure);
    let options = options(measure, false, [BATCH, 1]);
    let mut program = TrainingProgram::new(Isa::Scalar, &golden.network(), &options).unwrap();
    let (parameters, images) = (&golden.tensors["parameters"], &golden.tensors["images"]);
    let mut logits = vec![0.0; program.logits_len()];
    let pass = program.forward(parameters, images, None, &mut logits);
    assert!(pass.is_err());
    let short = MovingRanges {
        biased: &golden.tensors["biased"][1..],
        ..golden.ranges()
    };
    let pass = program.forward_quantized(parameters, short, images, None, &mut logits);
    let problem = pass.err().unwrap().to_string();
    assert_eq!(
        problem,
        "ranges of activations holds 11 values, expected 12"
    );
}
