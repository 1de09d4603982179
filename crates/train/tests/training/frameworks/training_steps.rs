//! Compares three steps of the whole network with PyTorch, for each optimiser. PyTorch's steps were
//! checked against TensorFlow; script and versions are beside the golden file.

use crate::formula::{array, weights};
use crate::golden::{Golden, relative_error};
use mobilenet_model::{MobileNetV1Config, TrainingPlan, TrainingPlanOptions};
use mobilenet_train::loss::softmax_cross_entropy;
use mobilenet_train::optimizer::{Optimizer, OptimizerConfig, l2_loss};
use mobilenet_train::recipe::Recipe;

/// The sizes in the script.
const BATCH: usize = 4;
const SIZE: [usize; 2] = [32, 48];
const CLASSES: usize = 10;

/// Largest error of a tensor's changes, relative to the largest change. The golden changes are
/// computed in f64. The file also says how far PyTorch's own f32 is from them (`RUN.f32_changes`).
const TOLERANCE: f32 = 5e-4;

/// The script's images. It draws them like weights of the same shape, with He's spread.
fn images() -> Vec<f32> {
    let spread = (6.0 / (3 * SIZE[0] * SIZE[1]) as f64).sqrt() as f32;
    let images = array("input", &[BATCH, 3, SIZE[0], SIZE[1]]);
    let images = images.permute(&[0, 2, 3, 1]).unwrap().into_values();
    // The script multiplies in f32, and its spread is f32.
    images.into_iter().map(|value| value * spread).collect()
}

fn three_steps(run: &str, optimizer: OptimizerConfig, learning_rate: f64, label_smoothing: f64) {
    let golden = Golden::open("training_step.safetensors");
    let labels = golden.metadata("labels").split(',');
    let labels: Vec<u32> = labels.map(|label| label.parse().unwrap()).collect();
    let losses = golden.metadata(&format!("{run}.losses")).split(',');
    let losses: Vec<f64> = losses.map(|loss| loss.parse().unwrap()).collect();
    assert_eq!(losses.len(), 3);

    let recipe = Recipe {
        optimizer,
        weight_decay: 4e-5,
        batch_norm_decay: 0.9,
        ..Recipe::slim(3)
    };
    let config = recipe.network(MobileNetV1Config {
        num_classes: Some(CLASSES),
        global_pool: true,
        dropout_keep_prob: 1.0,
        ..MobileNetV1Config::with_width(1.0 / 32.0)
    });
    let mut parameters = weights(&config);
    for (name, tensor) in &mut parameters {
        if name.ends_with("batch_norm.bias") {
            tensor
                .values_mut()
                .iter_mut()
                .for_each(|value| *value += 1.0);
        }
    }
    let options = TrainingPlanOptions::new(SIZE, BATCH, 2);
    let mut plan = TrainingPlan::new(&config, &options).unwrap();
    let before = plan.layout().flatten(&parameters).unwrap();
    let groups = recipe.groups(plan.layout()).unwrap();
    let mut optimizer = Optimizer::new(recipe.optimizer, before.len(), groups).unwrap();

    let (images, mut after) = (images(), before.clone());
    let mut logits = vec![0.0; plan.logits_len()];
    let mut of_logits = vec![0.0; plan.logits_len()];
    let mut gradients = vec![0.0; before.len()];
    for (step, expected) in losses.into_iter().enumerate() {
        let pass = plan.forward(&after, &images, None, &mut logits).unwrap();
        let loss =
            softmax_cross_entropy(&logits, &labels, CLASSES, label_smoothing, &mut of_logits);
        let total = loss.unwrap().mean + l2_loss(&after, optimizer.groups()).unwrap();
        assert!(
            (total - expected).abs() <= 1e-5 * expected,
            "{run}, step {step}: loss {total}, expected {expected}"
        );
        pass.backward(&of_logits, &mut gradients).unwrap();
        optimizer
            .step(&mut after, &gradients, learning_rate)
            .unwrap();
        plan.update_running_statistics(&mut after).unwrap();
    }

    let mut worst = (0.0, String::new());
    for (parameter, range) in plan.layout().entries() {
        if !parameter.is_trainable() {
            continue;
        }
        let name = parameter.name();
        let pairs = after[range.clone()].iter().zip(&before[range.clone()]);
        let change: Vec<f32> = pairs.map(|(after, before)| after - before).collect();
        let expected = golden.tensor(&format!("{run}.change.{name}"));
        let error = relative_error(&change, expected);
        assert!(error <= TOLERANCE, "{run}: {name}: {error:e}");
        if error > worst.0 {
            worst = (error, name);
        }
    }
    println!(
        "{run} against {}: largest relative error of a change {:.1e} ({})",
        golden.framework(),
        worst.0,
        worst.1
    );
}

#[test]
fn three_steps_of_momentum_change_the_weights_as_in_pytorch() {
    let momentum = OptimizerConfig::Momentum {
        momentum: 0.9,
        nesterov: false,
    };
    three_steps("sgd", momentum, 0.01, 0.0);
}

#[test]
fn three_steps_of_rms_prop_change_the_weights_as_in_tensorflow() {
    three_steps("rmsprop", OptimizerConfig::rms_prop_slim(), 0.045, 0.1);
}
