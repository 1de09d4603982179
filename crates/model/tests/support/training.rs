//! One training step of a network, computed in two ways: by candle's autograd and by
//! `TrainingPlan`.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use mobilenet_kernels::backward::cross_entropy::CrossEntropy;
use mobilenet_model::initialize::Parameters;
use mobilenet_model::{
    ArgScope, MobileNetV1, MobileNetV1Config, TrainingPlan, TrainingPlanOptions,
};
use mobilenet_ops::{BatchNormConfig, Normalizer, softmax_cross_entropy};

use super::{relative_error, weight, weights};

/// Images per batch, and their height and width.
pub const BATCH: usize = 4;
pub const SIZE: [usize; 2] = [32, 48];

/// The network of `golden/training_step.py`.
pub fn config() -> MobileNetV1Config {
    let mut config = MobileNetV1Config {
        num_classes: Some(10),
        global_pool: true,
        dropout_keep_prob: 1.0,
        ..MobileNetV1Config::with_width(1.0 / 32.0)
    };
    config.base.arg_scope = ArgScope {
        normalizer: Normalizer::BatchNorm(BatchNormConfig {
            decay: 0.9,
            ..BatchNormConfig::default()
        }),
        ..ArgScope::default()
    };
    config
}

/// The weights of the same network: those of the formula, with 1 added to every batch-norm bias.
pub fn parameters(config: &MobileNetV1Config) -> Parameters {
    let mut parameters = weights(config);
    for (name, tensor) in &mut parameters {
        if name.ends_with("batch_norm.bias") {
            tensor
                .values_mut()
                .iter_mut()
                .for_each(|value| *value += 1.0);
        }
    }
    parameters
}

/// The images of the same script. It draws them like weights of the same shape, with He's spread.
/// Other golden inputs have another spread.
pub fn images() -> Tensor {
    let spread = (6.0 / (3 * SIZE[0] * SIZE[1]) as f64).sqrt();
    (weight("input", &[BATCH, 3, SIZE[0], SIZE[1]]) * spread).unwrap()
}

/// Results of a step before the optimiser.
pub struct StepOutcome {
    pub loss: f64,
    /// Gradients by name. Running statistics have none.
    pub gradients: HashMap<String, Vec<f32>>,
    /// Running statistics after the step, by name.
    pub running: HashMap<String, Vec<f32>>,
}

fn values(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
    flat.to_vec1().unwrap()
}

/// A step by candle's autograd. In f32 it uses the kernels, in f64 the fallback.
pub fn by_autograd(
    config: &MobileNetV1Config,
    labels: &[u32],
    smoothing: f64,
    dtype: DType,
) -> StepOutcome {
    let variables: HashMap<String, Var> = parameters(config)
        .into_iter()
        .map(|(name, tensor)| {
            let tensor = Tensor::try_from(tensor).unwrap();
            let tensor = tensor.to_dtype(dtype).unwrap();
            (name, Var::from_tensor(&tensor).unwrap())
        })
        .collect();
    let tensors = variables.iter();
    let tensors = tensors.map(|(name, variable)| (name.clone(), variable.as_tensor().clone()));
    let builder = VarBuilder::from_tensors(tensors.collect(), dtype, &Device::Cpu);
    let network = MobileNetV1::new(config, builder).unwrap();
    let images = images().to_dtype(dtype).unwrap();
    // Features have a map of one pixel.
    let logits = network.forward_t(&images, true).unwrap();
    let logits = logits.flatten_from(1).unwrap();
    let labels = Tensor::new(labels, &Device::Cpu).unwrap();
    let loss = softmax_cross_entropy(&logits, &labels, smoothing).unwrap();
    let store = loss.backward().unwrap();
    let (running, trained): (Vec<_>, Vec<_>) = variables
        .iter()
        .partition(|(name, _)| name.contains("running"));
    let gradients = trained.into_iter().map(|(name, variable)| {
        let gradient = store.get(variable.as_tensor());
        let gradient = gradient.unwrap_or_else(|| panic!("{name} has no gradient"));
        (name.clone(), values(gradient))
    });
    let running = running.into_iter();
    StepOutcome {
        loss: loss.to_dtype(DType::F64).unwrap().to_scalar().unwrap(),
        gradients: gradients.collect(),
        running: running
            .map(|(name, variable)| (name.clone(), values(variable.as_tensor())))
            .collect(),
    }
}

/// A step by the training program.
pub fn by_plan(
    config: &MobileNetV1Config,
    labels: &[u32],
    smoothing: f64,
    threads: usize,
) -> StepOutcome {
    let options = TrainingPlanOptions::new(SIZE, BATCH, threads);
    let mut plan = TrainingPlan::new(config, &options).unwrap();
    let mut flat = plan.layout().flatten(&parameters(config)).unwrap();
    let images = values(&images().permute((0, 2, 3, 1)).unwrap());
    let mut logits = vec![0.0; plan.logits_len()];
    let classes = logits.len() / BATCH;
    let pass = plan.forward(&flat, &images, None, &mut logits).unwrap();
    let cross_entropy = CrossEntropy::new(&logits, labels, classes, smoothing).unwrap();
    let mut of_logits = vec![0.0; logits.len()];
    cross_entropy.gradient(1.0, &mut of_logits).unwrap();
    let mut gradients = vec![f32::NAN; flat.len()];
    pass.backward(&of_logits, &mut gradients).unwrap();
    plan.update_running_statistics(&mut flat).unwrap();
    let by_name = |values: &[f32], trainable: bool| {
        let entries = plan.layout().entries().iter();
        entries
            .filter(|(parameter, _)| parameter.is_trainable() == trainable)
            .map(|(parameter, range)| (parameter.name(), values[range.clone()].to_vec()))
            .collect()
    };
    StepOutcome {
        loss: cross_entropy.loss(),
        gradients: by_name(&gradients, true),
        running: by_name(&flat, false),
    }
}

/// Compares every tensor, relative to its largest value.
pub fn assert_same(what: &str, found: &StepOutcome, expected: &StepOutcome, tolerance: f32) {
    let difference = (found.loss - expected.loss).abs() / expected.loss;
    assert!(
        difference < f64::from(tolerance),
        "{what}: loss {difference:e}"
    );
    let mut worst = (0.0, "");
    for (found, expected) in [
        (&found.gradients, &expected.gradients),
        (&found.running, &expected.running),
    ] {
        assert_eq!(found.len(), expected.len(), "{what}");
        for (name, expected) in expected {
            let error = relative_error(&found[name], expected);
            assert!(
                error <= tolerance,
                "{what}: {name}: relative error {error:e}"
            );
            if error > worst.0 {
                worst = (error, name);
            }
        }
    }
    println!(
        "{what}: largest relative error {:.1e} ({})",
        worst.0, worst.1
    );
}
