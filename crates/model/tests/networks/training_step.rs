//! Compares one training step, before the optimiser, with PyTorch. The training program and
//! candle's autograd each compute it. PyTorch's step was checked against TensorFlow; script and
//! versions are beside the golden file.

use crate::support::training::{StepOutcome, assert_same, by_autograd, by_plan, config};
use crate::support::{Golden, array};
use candle_core::DType;
use mobilenet_model::architecture::parameters;

/// f32 gradients differ from f64 ones by about 1e-5 of a tensor's largest value.
const TOLERANCE: f32 = 1e-4;

/// Adds the gradient of the L2 terms, which the golden gradients contain.
fn with_weight_decay(mut step: StepOutcome) -> StepOutcome {
    let config = config();
    let factor = config.base.arg_scope.weight_decay as f32;
    for parameter in parameters(&config).unwrap() {
        let name = parameter.name();
        if !name.ends_with(".weight") || name.contains("batch_norm") || name.contains("depthwise") {
            continue;
        }
        let weights = array(&name, &parameter.shape).into_values();
        let gradients = step.gradients.get_mut(&name).unwrap();
        for (gradient, weight) in gradients.iter_mut().zip(weights) {
            *gradient += factor * weight;
        }
    }
    step
}

#[test]
fn loss_gradients_and_running_statistics_equal_those_of_pytorch() {
    let golden = Golden::open("training_step.safetensors");
    let labels = golden.metadata("labels").split(',');
    let labels: Vec<u32> = labels.map(|label| label.parse().unwrap()).collect();
    for (run, smoothing) in [("sgd", 0.0), ("rmsprop", 0.1)] {
        let loss = golden.metadata(&format!("{run}.cross_entropy"));
        let names = parameters(&config()).unwrap();
        let (trained, running): (Vec<_>, Vec<_>) =
            names.iter().partition(|parameter| parameter.is_trainable());
        let gradients = trained.iter().map(|parameter| {
            let name = parameter.name();
            let values = golden.tensor(&format!("{run}.gradient.{name}"));
            (name, values.to_vec())
        });
        let running = running.iter().map(|parameter| {
            let name = parameter.name();
            let stored = name.replace("running_var", "running_var_unbiased");
            (name, golden.tensor(&stored).to_vec())
        });
        let expected = StepOutcome {
            loss: loss.parse().unwrap(),
            gradients: gradients.collect(),
            running: running.collect(),
        };
        let framework = golden.metadata("framework");
        let found = with_weight_decay(by_plan(&config(), &labels, smoothing, 2));
        let what = format!("{run}, program against {framework}");
        assert_same(&what, &found, &expected, TOLERANCE);
        let found = with_weight_decay(by_autograd(&config(), &labels, smoothing, DType::F32));
        let what = format!("{run}, autograd against {framework}");
        assert_same(&what, &found, &expected, TOLERANCE);
    }
}
