//! slim's `mobilenet_v1_test.py`, test by test, with its names. Inputs are random. Shapes are
//! slim's, with channels second instead of last, and of fewer images than slim's five.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use mobilenet_model::architecture::body_parameters;
use mobilenet_model::candle::var_builder;
use mobilenet_model::initialize::initial_parameters;
use mobilenet_model::{
    ArgScope, BaseConfig, ConvDef, Endpoints, LayerKind, MobileNetV1, MobileNetV1Base,
    MobileNetV1Config, ModelError, PaddingRule,
};
use mobilenet_ops::Normalizer;

const BODY: [&str; 27] = [
    "Conv2d_0",
    "Conv2d_1_depthwise",
    "Conv2d_1_pointwise",
    "Conv2d_2_depthwise",
    "Conv2d_2_pointwise",
    "Conv2d_3_depthwise",
    "Conv2d_3_pointwise",
    "Conv2d_4_depthwise",
    "Conv2d_4_pointwise",
    "Conv2d_5_depthwise",
    "Conv2d_5_pointwise",
    "Conv2d_6_depthwise",
    "Conv2d_6_pointwise",
    "Conv2d_7_depthwise",
    "Conv2d_7_pointwise",
    "Conv2d_8_depthwise",
    "Conv2d_8_pointwise",
    "Conv2d_9_depthwise",
    "Conv2d_9_pointwise",
    "Conv2d_10_depthwise",
    "Conv2d_10_pointwise",
    "Conv2d_11_depthwise",
    "Conv2d_11_pointwise",
    "Conv2d_12_depthwise",
    "Conv2d_12_pointwise",
    "Conv2d_13_depthwise",
    "Conv2d_13_pointwise",
];

fn images(batch: usize, height: usize, width: usize) -> Tensor {
    Tensor::rand(0f32, 1.0, (batch, 3, height, width), &Device::Cpu).unwrap()
}

fn base(config: &BaseConfig) -> Result<MobileNetV1Base, ModelError> {
    let whole = MobileNetV1Config {
        base: config.clone(),
        num_classes: None,
        ..MobileNetV1Config::default()
    };
    MobileNetV1Base::new(config, var_builder(initial_parameters(&whole, 0)?).unwrap())
}

fn classifier(config: &MobileNetV1Config) -> MobileNetV1 {
    MobileNetV1::new(
        config,
        var_builder(initial_parameters(config, 0).unwrap()).unwrap(),
    )
    .unwrap()
}

/// Height, width and channels of each endpoint, by name.
fn shapes(endpoints: &Endpoints) -> Vec<(&str, [usize; 3])> {
    endpoints
        .iter()
        .map(|(name, tensor)| {
            let (_, c, h, w) = tensor.dims4().unwrap();
            (name, [h, w, c])
        })
        .collect()
}

/// Compares the base network's shapes at `side`, "side x channels", with slim's, for both paddings.
fn check_all_endpoints(config: BaseConfig, side: usize, expected: &str) {
    let number = |text: &str| text.parse::<usize>().unwrap();
    let expected = expected.split_whitespace().map(|shape| {
        let (side, channels) = shape.split_once('x').unwrap();
        [number(side), number(side), number(channels)]
    });
    let expected: Vec<_> = BODY.iter().copied().zip(expected).collect();
    assert_eq!(expected.len(), BODY.len());
    for padding in [PaddingRule::Same, PaddingRule::Explicit] {
        let config = BaseConfig {
            padding,
            ..config.clone()
        };
        let (_, endpoints) = base(&config)
            .unwrap()
            .forward_endpoints(&images(1, side, side), false)
            .unwrap();
        assert_eq!(shapes(&endpoints), expected, "{padding:?}");
    }
}

#[test]
fn t01_build_classification_network() {
    let network = classifier(&MobileNetV1Config::mobilenet_v1());
    let (logits, endpoints) = network
        .forward_endpoints(&images(2, 224, 224), false)
        .unwrap();
    assert_eq!(logits.dims(), [2, 1000]);
    assert_eq!(endpoints.get("Logits").unwrap().dims(), [2, 1000]);
    let predictions = endpoints.get("Predictions").unwrap();
    assert_eq!(predictions.dims(), [2, 1000]);
    let sums = predictions.sum(1).unwrap().to_vec1::<f32>().unwrap();
    assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-4), "{sums:?}");
}

#[test]
fn t02_build_pre_logits_network() {
    let config = MobileNetV1Config {
        num_classes: None,
        ..MobileNetV1Config::mobilenet_v1()
    };
    let (pooled, endpoints) = classifier(&config)
        .forward_endpoints(&images(2, 224, 224), false)
        .unwrap();
    assert_eq!(pooled.dims(), [2, 1024, 1, 1]);
    assert_eq!(*endpoints.names().last().unwrap(), "AvgPool_1a");
    assert!(endpoints.get("Logits").is_none() && endpoints.get("Predictions").is_none());
}

#[test]
fn t03_build_base_network() {
    let (last, endpoints) = base(&BaseConfig::default())
        .unwrap()
        .forward_endpoints(&images(2, 224, 224), false)
        .unwrap();
    assert_eq!(last.dims(), [2, 1024, 7, 7]);
    assert_eq!(endpoints.names(), BODY);
}

#[test]
fn t04_build_only_upto_final_endpoint() {
    let xs = images(1, 32, 32);
    for (index, name) in BODY.iter().enumerate() {
        let config = BaseConfig {
            final_endpoint: name.parse().unwrap(),
            depth_multiplier: 0.25,
            ..BaseConfig::default()
        };
        let (last, endpoints) = base(&config)
            .unwrap()
            .forward_endpoints(&xs, false)
            .unwrap();
        assert_eq!(endpoints.names(), BODY[..=index]);
        let named = endpoints.get(name).unwrap();
        assert_eq!(last.dims(), named.dims());
        let difference = (last - named).unwrap().abs().unwrap().max_all().unwrap();
        assert_eq!(difference.to_scalar::<f32>().unwrap(), 0.0);
    }
}

#[test]
fn t05_build_custom_network_using_conv_defs() {
    let config = BaseConfig {
        conv_defs: vec![
            ConvDef::conv(2, 32),
            ConvDef::separable(1, 64),
            ConvDef::separable(2, 128),
            ConvDef::separable(1, 512),
        ],
        final_endpoint: "Conv2d_3_pointwise".parse().unwrap(),
        ..BaseConfig::default()
    };
    let (last, endpoints) = base(&config)
        .unwrap()
        .forward_endpoints(&images(2, 224, 224), false)
        .unwrap();
    assert_eq!(last.dims(), [2, 512, 56, 56]);
    assert_eq!(endpoints.names(), BODY[..7]);
}

#[test]
fn t06_build_and_check_all_endpoints_upto_conv2d_13() {
    check_all_endpoints(
        BaseConfig::default(),
        224,
        "112x32 112x32 112x64 56x64 56x128 56x128 56x128 28x128 28x256 28x256 \
         28x256 14x256 14x512 14x512 14x512 14x512 14x512 14x512 14x512 14x512 \
         14x512 14x512 14x512 7x512 7x1024 7x1024 7x1024",
    );
}

#[test]
fn t07_output_stride_16_build_and_check_all_endpoints() {
    let config = BaseConfig {
        output_stride: Some(16),
        ..BaseConfig::default()
    };
    check_all_endpoints(
        config,
        224,
        "112x32 112x32 112x64 56x64 56x128 56x128 56x128 28x128 28x256 28x256 \
         28x256 14x256 14x512 14x512 14x512 14x512 14x512 14x512 14x512 14x512 \
         14x512 14x512 14x512 14x512 14x1024 14x1024 14x1024",
    );
}

#[test]
fn t08_output_stride_8_build_and_check_all_endpoints() {
    let config = BaseConfig {
        output_stride: Some(8),
        ..BaseConfig::default()
    };
    check_all_endpoints(
        config,
        224,
        "112x32 112x32 112x64 56x64 56x128 56x128 56x128 28x128 28x256 28x256 \
         28x256 28x256 28x512 28x512 28x512 28x512 28x512 28x512 28x512 28x512 \
         28x512 28x512 28x512 28x512 28x1024 28x1024 28x1024",
    );
}

#[test]
fn t09_build_and_check_all_endpoints_approximate_face_net() {
    let config = BaseConfig {
        depth_multiplier: 0.75,
        ..BaseConfig::default()
    };
    check_all_endpoints(
        config,
        128,
        "64x24 64x24 64x48 32x48 32x96 32x96 32x96 16x96 16x192 16x192 16x192 \
         8x192 8x384 8x384 8x384 8x384 8x384 8x384 8x384 8x384 8x384 8x384 \
         8x384 4x384 4x768 4x768 4x768",
    );
}

#[test]
fn t10_model_has_expected_number_of_parameters() {
    let config = BaseConfig {
        arg_scope: ArgScope {
            normalizer: Normalizer::BatchNorm(ArgScope::tf_slim_batch_norm()),
            ..ArgScope::tf_slim_defaults()
        },
        ..BaseConfig::default()
    };
    let total: usize = body_parameters(&config)
        .unwrap()
        .iter()
        .map(|p| p.len())
        .sum();
    assert_eq!(total, 3_217_920);
    // Counts the variables that the network really creates.
    let map = VarMap::new();
    MobileNetV1Base::new(
        &config,
        VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu),
    )
    .unwrap();
    let made: usize = map.all_vars().iter().map(|var| var.elem_count()).sum();
    assert_eq!(made, 3_217_920);
}

/// Channels of each `Conv*` endpoint of the classifier.
fn depths(width: f64) -> BTreeMap<String, usize> {
    let network = classifier(&MobileNetV1Config::with_width(width));
    let (_, endpoints) = network
        .forward_endpoints(&images(1, 64, 64), false)
        .unwrap();
    endpoints
        .iter()
        .filter(|(name, _)| name.starts_with("Conv"))
        .map(|(name, tensor)| (name.to_string(), tensor.dims()[1]))
        .collect()
}

#[test]
fn t11_build_endpoints_with_depth_multiplier_less_than_one() {
    let (full, half) = (depths(1.0), depths(0.5));
    assert_eq!(full.len(), 27);
    assert!(full.iter().all(|(name, depth)| half[name] * 2 == *depth));
}

#[test]
fn t12_build_endpoints_with_depth_multiplier_greater_than_one() {
    let (full, double) = (depths(1.0), depths(2.0));
    assert!(full.iter().all(|(name, depth)| double[name] == 2 * depth));
}

#[test]
fn t13_raise_value_error_with_invalid_depth_multiplier() {
    for depth_multiplier in [-0.1, 0.0] {
        let config = BaseConfig {
            depth_multiplier,
            ..BaseConfig::default()
        };
        let error = base(&config).unwrap_err();
        assert!(
            matches!(error, ModelError::DepthMultiplier { found } if found == depth_multiplier)
        );
    }
}

#[test]
fn t14_half_size_images() {
    let network = classifier(&MobileNetV1Config::mobilenet_v1());
    let (logits, endpoints) = network
        .forward_endpoints(&images(2, 112, 112), false)
        .unwrap();
    assert_eq!(logits.dims(), [2, 1000]);
    assert_eq!(
        endpoints.get("Conv2d_13_pointwise").unwrap().dims(),
        [2, 1024, 4, 4]
    );
}

/// One network accepts images of any size.
#[test]
fn t15_unknown_image_shape() {
    let network = classifier(&MobileNetV1Config::mobilenet_v1());
    for (side, map) in [(224, 7), (160, 5)] {
        let (logits, endpoints) = network
            .forward_endpoints(&images(2, side, side), false)
            .unwrap();
        assert_eq!(logits.dims(), [2, 1000]);
        assert_eq!(
            endpoints.get("Conv2d_13_pointwise").unwrap().dims(),
            [2, 1024, map, map]
        );
    }
}

#[test]
fn t16_global_pool_unknown_image_shape() {
    let config = MobileNetV1Config {
        global_pool: true,
        ..MobileNetV1Config::mobilenet_v1()
    };
    let (logits, endpoints) = classifier(&config)
        .forward_endpoints(&images(1, 250, 300), false)
        .unwrap();
    assert_eq!(logits.dims(), [1, 1000]);
    assert_eq!(
        endpoints.get("Conv2d_13_pointwise").unwrap().dims(),
        [1, 1024, 8, 10]
    );
    assert!(endpoints.get("global_pool").is_some() && endpoints.get("AvgPool_1a").is_none());
}

/// One network accepts batches of any size.
#[test]
fn t17_unknown_batch_size() {
    let network = classifier(&MobileNetV1Config::with_width(0.25));
    for batch in [1, 3] {
        let logits = network.forward_t(&images(batch, 224, 224), false).unwrap();
        assert_eq!(logits.dims(), [batch, 1000]);
    }
}

#[test]
fn t18_evaluation() {
    let network = classifier(&MobileNetV1Config::mobilenet_v1());
    let logits = network.forward_t(&images(2, 224, 224), false).unwrap();
    assert_eq!(logits.argmax(1).unwrap().dims(), [2]);
}

/// Training and evaluation share their variables: evaluation uses the statistics that training
/// updates.
#[test]
fn t19_train_eval_with_reuse() {
    let config = MobileNetV1Config::with_width(0.25);
    let network = classifier(&config);
    let photos = images(2, 150, 150);
    let before = network.forward_t(&photos, false).unwrap();
    let trained = network.forward_t(&images(5, 150, 150), true).unwrap();
    assert_eq!(trained.dims(), [5, 1000]);
    let (after, endpoints) = network.forward_endpoints(&photos, false).unwrap();
    assert_eq!(after.argmax(1).unwrap().dims(), [2]);
    assert_eq!(
        endpoints.get("Conv2d_13_pointwise").unwrap().dims(),
        [2, 256, 5, 5]
    );
    let moved = (after - before).unwrap().abs().unwrap().max_all().unwrap();
    assert!(moved.to_scalar::<f32>().unwrap() > 0.0);
}

#[test]
fn t20_logits_not_squeezed() {
    let config = MobileNetV1Config {
        num_classes: Some(25),
        spatial_squeeze: false,
        ..MobileNetV1Config::mobilenet_v1()
    };
    let logits = classifier(&config)
        .forward_t(&images(1, 224, 224), false)
        .unwrap();
    assert_eq!(logits.dims(), [1, 25, 1, 1]);
}

/// How much evaluation of the base differs from training. It is 0 if the scope sets `is_training`.
fn scope_difference(is_training: Option<bool>) -> f32 {
    let arg_scope = ArgScope {
        is_training,
        ..ArgScope::default()
    };
    let config = BaseConfig {
        arg_scope,
        depth_multiplier: 0.25,
        ..BaseConfig::default()
    };
    let last: BaseConfig = BaseConfig {
        final_endpoint: "Conv2d_1_depthwise".parse().unwrap(),
        ..config
    };
    let (network, xs) = (base(&last).unwrap(), images(2, 32, 32));
    let evaluated = network.forward_t(&xs, false).unwrap();
    let trained = network.forward_t(&xs, true).unwrap();
    (evaluated - trained)
        .unwrap()
        .abs()
        .unwrap()
        .max_all()
        .unwrap()
        .to_scalar()
        .unwrap()
}

#[test]
fn t21a_batch_norm_scope_does_not_have_is_training_when_its_set_to_none() {
    assert_eq!(ArgScope::default().is_training, None);
    assert!(scope_difference(None) > 0.1);
}

#[test]
fn t21b_batch_norm_scope_does_have_is_training_when_its_not_none() {
    // The scope decides, whatever the call says. The running statistics change between the calls,
    // but normalisation uses those of the batch.
    assert_eq!(scope_difference(Some(true)), 0.0);
    assert_eq!(scope_difference(Some(false)), 0.0);
}

#[test]
fn body_has_27_layers_of_three_kinds() {
    let layers = mobilenet_model::architecture::body_layers(&BaseConfig::default()).unwrap();
    let count = |kind| {
        layers
            .iter()
            .filter(|layer| layer.endpoint.kind == kind)
            .count()
    };
    assert_eq!(
        (
            count(LayerKind::Conv),
            count(LayerKind::Depthwise),
            count(LayerKind::Pointwise)
        ),
        (1, 13, 13)
    );
}
