//! An SSD of random weights under TensorFlow's names, against TensorFlow (`golden/ssd_graph.py`).

use std::sync::Arc;

use mobilenet_detect::anchors::AnchorOrder;
use mobilenet_detect::variables::SsdVariables;
use mobilenet_detect::{DetectError, DetectorWeights, SsdConfig, UnpackedFloats};
use mobilenet_kernels::ConvKind;
use mobilenet_model::array::Values;
use mobilenet_model::checkpoint::readers::{NamedTensors, RawTensor};
use safetensors::SafeTensors;

pub(crate) const SIDE: usize = 160;

pub(crate) fn golden(file: &[u8], name: &str) -> Vec<f32> {
    let file = SafeTensors::deserialize(file).unwrap();
    let values = file
        .tensor(name)
        .unwrap()
        .data()
        .as_chunks::<4>()
        .0
        .to_vec();
    values.into_iter().map(f32::from_le_bytes).collect()
}

pub(crate) fn graph(name: &str) -> Vec<f32> {
    golden(include_bytes!("../golden/ssd_graph.safetensors"), name)
}

/// The values in [-1, 1) that the golden files' formula makes of a name.
pub(crate) fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    (1..=count as u64).map(move |i| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}

fn tensor(name: &str, shape: &[usize]) -> (String, RawTensor) {
    let product = |axes: &[usize]| axes.iter().product::<usize>() as f64;
    let end = name.rsplit('/').next().unwrap();
    let (centre, spread) = match end {
        "gamma" => (1.0, 0.3),
        "beta" => (0.3, 0.3),
        "moving_mean" => (0.0, 0.3),
        "moving_variance" => (1.0, 0.5),
        "biases" => (0.0, 0.1),
        "depthwise_weights" => (0.0, (6.0 / product(&shape[..2])).sqrt()),
        _ => (0.0, (6.0 / product(&shape[..3])).sqrt()),
    };
    let values = uniform(name, shape.iter().product());
    let values = values
        .map(|u| (centre + spread * u) as f32)
        .collect::<Vec<f32>>();
    let raw = RawTensor {
        dtype: "F32".to_string(),
        shape: shape.to_vec(),
        values: Some(Arc::new(Values::F32(values.into()))),
        quantization: None,
    };
    (name.to_string(), raw)
}

/// The golden file's network.
pub(crate) fn config() -> SsdConfig {
    SsdConfig {
        size: [SIDE; 2],
        ..SsdConfig::new(0.25, 3)
    }
}

pub(crate) fn image(size: [usize; 2]) -> Vec<f32> {
    let values = uniform("input", 3 * size[0] * size[1]);
    values.map(|value| value as f32).collect()
}

/// The golden file's formula for a network's variables.
pub(crate) fn variables(config: &SsdConfig) -> NamedTensors {
    let network = config.network().unwrap();
    let mut file = NamedTensors::default();
    for layer in &network.layers {
        let scope = format!("FeatureExtractor/MobilenetV1/{}", layer.name);
        let shape = &layer.shape;
        let [rows, columns] = shape.geometry.kernel;
        file.tensors.extend([match shape.kind {
            ConvKind::Conv => tensor(
                &format!("{scope}/weights"),
                &[rows, columns, shape.in_channels, shape.out_channels],
            ),
            ConvKind::Depthwise => tensor(
                &format!("{scope}/depthwise_weights"),
                &[rows, columns, shape.out_channels, 1],
            ),
        }]);
        for part in ["gamma", "beta", "moving_mean", "moving_variance"] {
            file.tensors.extend([tensor(
                &format!("{scope}/BatchNorm/{part}"),
                &[shape.out_channels],
            )]);
        }
    }
    for (index, one) in network.predictors.iter().enumerate() {
        for (name, shape) in [
            ("BoxEncodingPredictor", one.boxes),
            ("ClassPredictor", one.classes),
        ] {
            let scope = format!("BoxPredictor_{index}/{name}");
            file.tensors.extend([
                tensor(
                    &format!("{scope}/weights"),
                    &[1, 1, shape.in_channels, shape.out_channels],
                ),
                tensor(&format!("{scope}/biases"), &[shape.out_channels]),
            ]);
        }
    }
    file
}

fn load(file: &NamedTensors) -> Result<DetectorWeights, DetectError> {
    let variables = SsdVariables::find(file).unwrap();
    let config = variables.config([SIDE; 2], AnchorOrder::Last)?;
    DetectorWeights::floats(UnpackedFloats::variables(&variables, &config)?)
}

#[test]
fn tensorflows_numbers() {
    let file = variables(&config());
    let found = SsdVariables::find(&file).unwrap();
    let found = found.config([SIDE; 2], AnchorOrder::Last).unwrap();
    assert_eq!(found, config());
    let weights = load(&file).unwrap();
    assert_eq!(
        (weights.first_class(), weights.post_process().classes),
        (1, 3)
    );
    let image = image([SIDE; 2]);
    for threads in [1, 3] {
        let [encodings, scores] = weights.plan(threads).unwrap().predict(&image).unwrap();
        for (name, found) in [("encodings", encodings), ("scores", scores)] {
            let expected = graph(name);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert!(
                    (found - expected).abs() < 1e-4,
                    "{name}: {found}, {expected}"
                );
            }
        }
    }
}

/// The network on candle against the plan, whose numbers are TensorFlow's.
#[cfg(feature = "candle")]
mod on_candle {
    use candle_core::{DType, Device, Tensor};
    use candle_nn::{VarBuilder, VarMap};
    use mobilenet_detect::SsdNetwork;
    use mobilenet_detect::floats::{FloatDetectorPlan, FloatWeights};
    use mobilenet_kernels::{BatchNormConfig, Normalizer};

    use super::*;

    fn tensor(image: Vec<f32>, [rows, columns]: [usize; 2]) -> Tensor {
        let image = Tensor::from_vec(image, (1, rows, columns, 3), &Device::Cpu).unwrap();
        image.permute((0, 3, 1, 2)).unwrap()
    }

    #[test]
    fn the_plans_numbers() {
        for (width, classes, size) in [
            (0.25, 3, [160, 160]),
            (0.5, 1, [97, 130]),
            (1.0, 2, [64, 64]),
        ] {
            let config = SsdConfig {
                size,
                ..SsdConfig::new(width, classes)
            };
            let file = variables(&config);
            let network = SsdVariables::find(&file).unwrap().network(&config).unwrap();
            let weights = Arc::new(FloatWeights::new(&network).unwrap());
            let anchors = config.anchors().unwrap().len();
            let mut plan = FloatDetectorPlan::new(weights, anchors, 2).unwrap();
            let expected = plan.logits(&image(size)).unwrap();

            let ssd = SsdNetwork::folded(&config, &network).unwrap();
            let xs = tensor(image(size), size);
            let found = ssd.forward_t(&xs, false).unwrap();
            for ((found, expected), values) in found.iter().zip(&expected).zip([4, classes + 1]) {
                assert_eq!(found.dims(), [1, anchors, values]);
                let found = found.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                for (found, expected) in found.iter().zip(expected) {
                    assert!((found - expected).abs() < 1e-4, "{found}, {expected}");
                }
            }
            let maps = ssd.forward_maps(&xs, false).unwrap();
            let grids = config.network().unwrap().grids;
            let found = maps.iter().map(|[boxes, _]| boxes.dims()[2..].to_vec());
            assert!(found.eq(grids.iter().map(|grid| grid.to_vec())));
        }
    }

    /// All parameters of a network with batch normalisation get a gradient.
    #[test]
    fn it_can_be_trained() {
        let config = SsdConfig {
            size: [64, 64],
            ..SsdConfig::new(0.25, 2)
        };
        let map = VarMap::new();
        let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
        let normalizer = Normalizer::BatchNorm(BatchNormConfig::default());
        let ssd = SsdNetwork::new(&config, normalizer, vb).unwrap();
        let mut variables: Vec<_> = map.data().lock().unwrap().clone().into_iter().collect();
        variables.retain(|(name, _)| !name.contains("running_"));
        for (name, variable) in &variables {
            let values = uniform(name, variable.elem_count()).map(|value| value as f32 + 0.1);
            let values = Tensor::from_iter(values, &Device::Cpu).unwrap();
            variable
                .set(&values.reshape(variable.shape()).unwrap())
                .unwrap();
        }
        let xs = Tensor::cat(
            &[
                tensor(image([64; 2]), [64; 2]),
                tensor(vec![0.5; 3 * 64 * 64], [64; 2]),
            ],
            0,
        );
        let [boxes, classes] = ssd.forward_t(&xs.unwrap(), true).unwrap();
        let loss = (boxes.sqr().unwrap().sum_all().unwrap()
            + classes.sqr().unwrap().sum_all().unwrap())
        .unwrap();
        let gradients = loss.backward().unwrap();
        for (name, variable) in &variables {
            let gradient = gradients
                .get(variable)
                .unwrap()
                .abs()
                .unwrap()
                .sum_all()
                .unwrap();
            assert!(gradient.to_scalar::<f32>().unwrap() > 0.0, "{name}");
        }
    }

    #[test]
    fn another_network_is_refused() {
        let file = variables(&config());
        let network = SsdVariables::find(&file)
            .unwrap()
            .network(&config())
            .unwrap();
        let refused = |config: SsdConfig| {
            SsdNetwork::folded(&config, &network)
                .unwrap_err()
                .to_string()
        };
        let found = refused(SsdConfig::new(0.25, 4));
        assert!(
            found.contains("the layer BoxPredictor_0/ClassPredictor"),
            "{found}"
        );
        let found = refused(SsdConfig::new(0.5, 3));
        assert!(found.contains("the layer Conv2d_1_pointwise"), "{found}");
        let mut moved = network.clone();
        moved.predictors[2].reads = 9;
        let found = SsdNetwork::folded(&config(), &moved)
            .unwrap_err()
            .to_string();
        assert!(
            found.contains("predictor reads: expected 28, found 9"),
            "{found}"
        );
        let mut short = network.clone();
        short.layers.pop();
        let found = SsdNetwork::folded(&config(), &short)
            .unwrap_err()
            .to_string();
        assert!(found.contains("layers: expected 47, found 46"), "{found}");
    }
}

#[test]
fn what_is_missing_or_misshapen_is_named() {
    let file = variables(&config());
    for name in file.tensors.keys() {
        let mut without = file.clone();
        without.tensors.remove(name);
        let is_gamma = name.ends_with("gamma");
        match SsdVariables::find(&without) {
            // Without gamma it is 1.
            Some(_) if is_gamma => assert!(load(&without).is_ok()),
            Some(_) => assert!(
                load(&without)
                    .unwrap_err()
                    .to_string()
                    .contains(name.as_str())
            ),
            None => assert!(
                name.contains("Conv2d_0/weights") || name.contains("ClassPredictor/weights")
            ),
        }
    }
    let change = |name: &str, change: &dyn Fn(&mut RawTensor)| {
        let mut file = file.clone();
        change(file.tensors.get_mut(name).unwrap());
        load(&file).unwrap_err().to_string()
    };
    let weights = "FeatureExtractor/MobilenetV1/Conv2d_3_pointwise/weights";
    let found = change(weights, &|tensor| tensor.shape = vec![1, 1, 32, 31]);
    assert!(
        found.contains("Conv2d_3_pointwise/weights` has the shape [1, 1, 32, 31], expected"),
        "{found}"
    );
    let found = change(weights, &|tensor| tensor.values = None);
    assert!(found.contains("is missing"), "{found}");
    let nan = |tensor: &mut RawTensor| {
        let mut values = tensor.to_f32().unwrap().into_owned();
        values[5] = f32::NAN;
        tensor.values = Some(Arc::new(Values::F32(values.into())));
    };
    let found = change(weights, &nan);
    assert!(
        found.contains("weights of Conv2d_3_pointwise are not finite"),
        "{found}"
    );
    // A thousand million classes, and as many channels.
    let scores = "BoxPredictor_0/ClassPredictor/weights";
    let found = change(scores, &|tensor| {
        tensor.shape = vec![1, 1, 128, 3_000_000_003]
    });
    assert!(found.contains("classes must be from 1"), "{found}");
    let last = "FeatureExtractor/MobilenetV1/Conv2d_13_pointwise/weights";
    for channels in [0, 1 << 40, usize::MAX] {
        change(last, &|tensor| tensor.shape = vec![1, 1, 256, channels]);
    }
    assert!(SsdVariables::find(&NamedTensors::default()).is_none());
}
