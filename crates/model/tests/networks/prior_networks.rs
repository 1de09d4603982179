//! The networks of other papers on candle, compared with torchvision, Keras and PyTorch; Conv and
//! Shallow MobileNet in plans, compared with candle.

use std::collections::HashMap;

use crate::support::training::{assert_same, by_autograd, by_plan, config};
use crate::support::{Golden, array, input, relative_error};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use mobilenet_kernels::training::FakeQuantization;
use mobilenet_model::candle::{PriorNetwork, var_builder};
use mobilenet_model::initialize::random_parameters;
use mobilenet_model::prior_work::{
    Network, conv_mobilenet, initial_parameters, network, parameters, shallow_mobilenet,
};
use mobilenet_model::{
    InferencePlan, MobileNetV1, MobileNetV1Config, ModelError, PlanOptions, PlanWeights,
    TrainingPlan, TrainingPlanOptions,
};
use mobilenet_ops::softmax_cross_entropy;

/// Logits equal the framework's. The images are odd, so that padding matters.
fn compare(name: &str) {
    let golden = Golden::open("prior_networks.safetensors");
    assert_eq!(golden.metadata("size"), "75x101");
    let network = network(name).unwrap();
    let weights = parameters(&network).into_iter().map(|(name, shape)| {
        let array = array(&name, &shape);
        (name, array)
    });
    let network = PriorNetwork::new(&network, var_builder(weights.collect()).unwrap()).unwrap();
    let logits = network.forward_t(&input(75, 101), false).unwrap();
    assert_eq!(logits.dims(), [2, 1000]);
    let logits: Vec<f32> = logits.flatten_all().unwrap().to_vec1().unwrap();
    let error = relative_error(&logits, golden.tensor(name));
    println!("{name}: relative error {error:.1e}, {}", golden.framework());
    assert!(error < 1e-4, "{name}: {error:e}");
}

#[test]
fn squeezenet_is_torchvisions() {
    compare("squeezenet1_0");
    compare("squeezenet1_1");
}

#[test]
fn inception_v3_is_torchvisions() {
    compare("inception_v3");
}

#[test]
fn xception_is_keras() {
    compare("xception");
}

#[test]
fn flattened_mobilenet_is_pytorchs() {
    compare("flattened_mobilenet");
}

#[test]
fn networks_with_what_is_not_computed_are_refused() {
    let alexnet = network("alexnet").unwrap();
    for (node, what) in [(1, "local response"), (3, "conv2 in 2 groups")] {
        let part = Network {
            nodes: vec![alexnet.nodes[node].clone()],
            ..alexnet.clone()
        };
        let refused = PriorNetwork::new(&part, empty()).unwrap_err();
        assert!(
            matches!(refused, ModelError::NotComputed { .. }),
            "{refused}"
        );
        assert!(refused.to_string().contains(what), "{refused}");
    }
    let missing = PriorNetwork::new(&network("xception").unwrap(), empty()).unwrap_err();
    assert!(
        missing.to_string().contains("block1_conv1.weight"),
        "{missing}"
    );
}

fn empty() -> VarBuilder<'static> {
    var_builder(HashMap::new()).unwrap()
}

/// Gradient descent on one batch lowers the loss, and every trained parameter has a gradient.
fn learns(name: &str, side: usize, learning_rate: f64) {
    let network = network(name).unwrap().with_classes(4);
    let variables: HashMap<String, Var> = initial_parameters(&network, 7)
        .unwrap()
        .into_iter()
        .map(|(name, array)| {
            let tensor = Tensor::try_from(array).unwrap();
            (name, Var::from_tensor(&tensor).unwrap())
        })
        .collect();
    let tensors = variables.iter();
    let tensors = tensors.map(|(name, variable)| (name.clone(), variable.as_tensor().clone()));
    let builder = VarBuilder::from_tensors(tensors.collect(), DType::F32, &Device::Cpu);
    let network = PriorNetwork::new(&network, builder).unwrap();
    let images = Tensor::try_from(array("input", &[4, 3, side, side])).unwrap();
    let labels = Tensor::new(&[0u32, 1, 2, 3], &Device::Cpu).unwrap();
    let mut losses = Vec::new();
    for _ in 0..3 {
        let logits = network.forward_t(&images, true).unwrap();
        let loss = softmax_cross_entropy(&logits, &labels, 0.0).unwrap();
        losses.push(loss.to_scalar::<f32>().unwrap());
        let gradients = loss.backward().unwrap();
        for (name, variable) in &variables {
            let gradient = gradients.get(variable.as_tensor());
            if name.contains("running") {
                continue;
            }
            let gradient = gradient.unwrap_or_else(|| panic!("{name} has no gradient"));
            let step = (gradient * learning_rate).unwrap();
            variable
                .set(&(variable.as_tensor() - step).unwrap())
                .unwrap();
        }
    }
    println!("{name}: losses {losses:?}");
    assert!(
        losses[2] < losses[0] && losses[2].is_finite(),
        "{name}: {losses:?}"
    );
}

#[test]
fn they_learn() {
    learns("squeezenet1_1", 48, 0.01);
    learns("flattened_mobilenet", 32, 0.3);
    learns("xception", 32, 0.01);
}

/// A narrow network with the layers of another.
fn narrow(of: MobileNetV1Config) -> MobileNetV1Config {
    let mut narrow = config();
    narrow.base.conv_defs = of.base.conv_defs;
    narrow.base.final_endpoint = of.base.final_endpoint;
    narrow
}

#[test]
fn conv_and_shallow_mobilenet_compute_in_plans() {
    for config in [narrow(conv_mobilenet()), narrow(shallow_mobilenet())] {
        let parameters = random_parameters(&config, 3).unwrap();
        let images = input(75, 101);
        let eager = MobileNetV1::new(&config, var_builder(parameters.clone()).unwrap()).unwrap();
        let expected = eager.forward_t(&images, false).unwrap();
        let expected: Vec<f32> = expected.flatten_all().unwrap().to_vec1().unwrap();
        let weights = PlanWeights::new(&config, &parameters).unwrap();
        let mut plan = InferencePlan::new(&weights, &PlanOptions::new([75, 101], 2)).unwrap();
        let images = images.permute((0, 2, 3, 1)).unwrap().flatten_all().unwrap();
        let mut logits = vec![f32::NAN; expected.len()];
        plan.run(&images.to_vec1::<f32>().unwrap(), &mut logits)
            .unwrap();
        let error = relative_error(&logits, &expected);
        assert!(error <= 1e-4, "{:?}: {error:e}", config.base.final_endpoint);
    }
}

const LABELS: [u32; 4] = [4, 9, 7, 0];

#[test]
fn conv_and_shallow_mobilenet_train_in_plans() {
    for (name, config) in [
        ("conv", narrow(conv_mobilenet())),
        ("shallow", narrow(shallow_mobilenet())),
    ] {
        let found = by_plan(&config, &LABELS, 0.1, 2);
        let expected = by_autograd(&config, &LABELS, 0.1, DType::F64);
        assert_same(name, &found, &expected, 1e-3);
    }
}

#[test]
fn conv_mobilenet_is_not_trained_for_integers() {
    let options = TrainingPlanOptions {
        quantization: Some(FakeQuantization::Measure),
        ..TrainingPlanOptions::new([32, 48], 4, 1)
    };
    let refused = TrainingPlan::new(&narrow(conv_mobilenet()), &options).unwrap_err();
    assert!(
        refused.to_string().contains("full convolution"),
        "{refused}"
    );
}
