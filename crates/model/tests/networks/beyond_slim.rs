//! Tests what slim's own tests do not: the second table of the reference, row by row. Its sizes are
//! tested in `sizes.rs`, and the learning rate schedule in `mobilenet-train`.

use candle_core::{Device, IndexOp, Tensor};
use candle_nn::ModuleT;
use mobilenet_model::architecture::{body_layers, parameters};
use mobilenet_model::candle::var_builder;
use mobilenet_model::initialize::random_parameters;
use mobilenet_model::inspect::summary;
use mobilenet_model::{
    ArgScope, BaseConfig, ConvDef, MobileNetV1, MobileNetV1Base, MobileNetV1Config, ModelError,
    PaddingRule,
};

fn images(height: usize, width: usize) -> Tensor {
    Tensor::rand(-1f32, 1.0, (1, 3, height, width), &Device::Cpu).unwrap()
}

fn classifier(config: &MobileNetV1Config) -> MobileNetV1 {
    MobileNetV1::new(
        config,
        var_builder(random_parameters(config, 5).unwrap()).unwrap(),
    )
    .unwrap()
}

/// A narrow network, so that it runs in milliseconds.
fn narrow() -> MobileNetV1Config {
    MobileNetV1Config {
        num_classes: Some(10),
        ..MobileNetV1Config::mobilenet_v1_025()
    }
}

fn difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    (a - b)
        .unwrap()
        .abs()
        .unwrap()
        .max_all()
        .unwrap()
        .to_scalar()
        .unwrap()
}

#[test]
fn strides_and_dilations_of_each_output_stride() {
    let windows = |output_stride| -> Vec<(usize, usize)> {
        body_layers(&BaseConfig {
            output_stride,
            ..BaseConfig::default()
        })
        .unwrap()
        .iter()
        .filter(|layer| layer.endpoint.to_string().ends_with("depthwise"))
        .map(|layer| (layer.geometry.stride, layer.geometry.dilation))
        .collect()
    };
    let strided = |at: &[usize]| -> Vec<(usize, usize)> {
        (1..=13)
            .map(|index| (if at.contains(&index) { 2 } else { 1 }, 1))
            .collect()
    };
    assert_eq!(windows(None), strided(&[2, 4, 6, 12]));
    assert_eq!(windows(Some(32)), windows(None));
    let mut sixteen = strided(&[2, 4, 6]);
    sixteen[12] = (1, 2);
    assert_eq!(windows(Some(16)), sixteen);
    let mut eight = strided(&[2, 4]);
    eight[6..12].fill((1, 2));
    eight[12] = (1, 4);
    assert_eq!(windows(Some(8)), eight);
}

/// With the same weights, a map of a larger output stride is an exact sampling of one with a
/// smaller stride.
#[test]
fn output_strides_are_exact_samplings() {
    let xs = images(224, 224);
    for (padding, starts) in [(PaddingRule::Same, [1, 3]), (PaddingRule::Explicit, [0, 0])] {
        let map = |output_stride| {
            let base = BaseConfig {
                output_stride,
                padding,
                ..narrow().base
            };
            let config = MobileNetV1Config {
                base: base.clone(),
                ..narrow()
            };
            let vb = var_builder(random_parameters(&config, 5).unwrap()).unwrap();
            MobileNetV1Base::new(&base, vb)
                .unwrap()
                .forward_t(&xs, false)
                .unwrap()
        };
        let coarse = map(None);
        for (output_stride, step, start) in [(16, 2, starts[0]), (8, 4, starts[1])] {
            let picked: Vec<u32> = (0..7).map(|i| start + step * i).collect();
            let picked = Tensor::new(picked, &Device::Cpu).unwrap();
            let fine = map(Some(output_stride)).contiguous().unwrap();
            let sampled = fine
                .index_select(&picked, 2)
                .unwrap()
                .index_select(&picked, 3)
                .unwrap();
            let error = difference(&sampled, &coarse);
            assert!(
                error <= 1e-5,
                "{padding:?}, output stride {output_stride}: {error:e}"
            );
        }
    }
}

#[test]
fn explicit_padding_has_the_same_shapes_and_other_values() {
    let xs = images(224, 224);
    let mut explicit = narrow();
    explicit.base.padding = PaddingRule::Explicit;
    let (_, same) = classifier(&narrow()).forward_endpoints(&xs, false).unwrap();
    let (_, explicit) = classifier(&explicit).forward_endpoints(&xs, false).unwrap();
    for ((name, a), (_, b)) in same.iter().zip(explicit.iter()) {
        assert_eq!(a.dims(), b.dims(), "{name}");
        assert!(difference(a, b) > 1e-3, "{name}");
    }
}

#[test]
fn odd_sizes_by_slims_and_by_keras_rule() {
    for (padding, map) in [
        (PaddingRule::Same, [8, 10]),
        (PaddingRule::Explicit, [8, 10]),
        (PaddingRule::Keras, [7, 9]),
    ] {
        let mut config = narrow();
        config.base.padding = padding;
        let last = summary(&config, 250, 300).unwrap().layers[26].output;
        assert_eq!(last[..2], map, "{padding:?}");
    }
    let mut keras = narrow();
    keras.base.padding = PaddingRule::Keras;
    for (side, maps) in [
        (300, [150, 75, 37, 18, 9]),
        (150, [75, 37, 18, 9, 4]),
        (33, [17, 8, 4, 2, 1]),
    ] {
        let layers = summary(&keras, side, side).unwrap().layers;
        assert_eq!(
            [0, 3, 7, 11, 23].map(|i| layers[i].output[0]),
            maps,
            "{side}"
        );
    }
}

#[test]
fn invalid_output_strides_are_errors() {
    for output_stride in [0, 1, 4, 12, 64] {
        let config = BaseConfig {
            output_stride: Some(output_stride),
            ..BaseConfig::default()
        };
        let error = body_layers(&config).unwrap_err();
        assert!(matches!(error, ModelError::OutputStride { found } if found == output_stride));
    }
}

#[test]
fn unknown_final_endpoints_are_errors() {
    let endpoint = "Conv2d_14_pointwise".parse().unwrap();
    let error = body_layers(&BaseConfig {
        final_endpoint: endpoint,
        ..BaseConfig::default()
    })
    .unwrap_err();
    assert_eq!(error.to_string(), "unknown endpoint `Conv2d_14_pointwise`");
    let error = "Mixed_5a".parse::<mobilenet_model::Endpoint>().unwrap_err();
    assert_eq!(error.to_string(), "unknown endpoint `Mixed_5a`");
    // The custom layers end before the default endpoint.
    let short = BaseConfig {
        conv_defs: vec![ConvDef::conv(2, 32)],
        ..BaseConfig::default()
    };
    assert!(matches!(
        body_layers(&short),
        Err(ModelError::UnknownEndpoint { .. })
    ));
}

#[test]
fn rank_3_input_is_an_error_that_names_the_rank() {
    let network = classifier(&narrow());
    let xs = images(32, 32).squeeze(0).unwrap();
    let error = network.forward_t(&xs, false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid input tensor rank, expected 4, was: 3"
    );
    // Through candle's trait the error is the same.
    let error = ModuleT::forward_t(&network, &xs, false).unwrap_err();
    assert!(error.to_string().contains("expected 4, was: 3"));
}

#[test]
fn wrong_input_channels_are_an_error() {
    let xs = images(32, 32).i((.., ..2)).unwrap();
    let error = classifier(&narrow()).forward_t(&xs, false).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("expected 3 input channels, found 2"),
        "{error}"
    );
}

#[test]
fn num_classes_0_is_none() {
    let xs = images(64, 64);
    let pooled = |num_classes| {
        classifier(&MobileNetV1Config {
            num_classes,
            ..narrow()
        })
        .forward_t(&xs, false)
        .unwrap()
    };
    assert_eq!(pooled(None).dims(), [1, 256, 1, 1]);
    assert_eq!(difference(&pooled(None), &pooled(Some(0))), 0.0);
    assert_eq!(
        difference(&pooled(None), &classifier(&narrow()).features(&xs).unwrap()),
        0.0
    );
}

#[test]
fn no_prediction_fn_means_no_predictions() {
    let config = MobileNetV1Config {
        prediction_fn: None,
        ..narrow()
    };
    let (_, endpoints) = classifier(&config)
        .forward_endpoints(&images(32, 32), false)
        .unwrap();
    assert!(endpoints.get("Predictions").is_none() && endpoints.get("Logits").is_some());
}

#[test]
fn pool_at_256_drops_the_last_row_and_column() {
    let xs = images(256, 256);
    let (_, windowed) = classifier(&narrow()).forward_endpoints(&xs, false).unwrap();
    let global = MobileNetV1Config {
        global_pool: true,
        ..narrow()
    };
    let (_, global) = classifier(&global).forward_endpoints(&xs, false).unwrap();
    let map = windowed.get("Conv2d_13_pointwise").unwrap();
    assert_eq!(map.dims(), [1, 256, 8, 8]);
    let corner = map.i((.., .., ..7, ..7)).unwrap().contiguous().unwrap();
    let expected = corner.mean_keepdim((2, 3)).unwrap();
    assert!(difference(windowed.get("AvgPool_1a").unwrap(), &expected) < 1e-5);
    let expected = map.contiguous().unwrap().mean_keepdim((2, 3)).unwrap();
    assert!(difference(global.get("global_pool").unwrap(), &expected) < 1e-5);
    assert!(difference(windowed.get("AvgPool_1a").unwrap(), &expected) > 1e-4);
}

#[test]
fn pool_at_288_cannot_be_squeezed() {
    let xs = images(288, 288);
    let error = classifier(&narrow()).forward_t(&xs, false).unwrap_err();
    assert!(
        matches!(
            error,
            ModelError::NotSqueezable {
                height: 2,
                width: 2
            }
        ),
        "{error}"
    );
    let unsqueezed = MobileNetV1Config {
        spatial_squeeze: false,
        ..narrow()
    };
    assert_eq!(
        classifier(&unsqueezed)
            .forward_t(&xs, false)
            .unwrap()
            .dims(),
        [1, 10, 2, 2]
    );
    let global = MobileNetV1Config {
        global_pool: true,
        ..narrow()
    };
    assert_eq!(
        classifier(&global).forward_t(&xs, false).unwrap().dims(),
        [1, 10]
    );
}

#[test]
fn l2_holds_for_15_tensors_and_13_more() {
    let decayed = |regularize_depthwise| {
        let arg_scope = ArgScope {
            regularize_depthwise,
            ..ArgScope::default()
        };
        let config = MobileNetV1Config {
            base: BaseConfig {
                arg_scope,
                ..BaseConfig::default()
            },
            ..MobileNetV1Config::default()
        };
        let all = parameters(&config).unwrap();
        let decayed: Vec<_> = all
            .into_iter()
            .filter(|p| p.weight_decay(&config.base) == 4e-5)
            .collect();
        assert!(
            decayed
                .iter()
                .all(|p| p.name().ends_with(".weight") && p.shape.len() == 4)
        );
        decayed.len()
    };
    assert_eq!((decayed(false), decayed(true)), (15, 28));
}

#[test]
fn dropout_is_the_identity_in_evaluation_and_random_in_training() {
    let config = MobileNetV1Config {
        dropout_keep_prob: 0.5,
        ..narrow()
    };
    let xs = images(64, 64);
    let kept = classifier(&MobileNetV1Config {
        dropout_keep_prob: 1.0,
        ..narrow()
    });
    assert_eq!(
        difference(
            &classifier(&config).forward_t(&xs, false).unwrap(),
            &kept.forward_t(&xs, false).unwrap()
        ),
        0.0
    );
    let train = |seed| {
        let mut network = classifier(&config);
        network.seed_dropout(seed);
        network
            .forward_t(
                &Tensor::cat(&[&xs, &images(64, 64)], 0)
                    .unwrap()
                    .i(..1)
                    .unwrap(),
                true,
            )
            .unwrap()
    };
    assert_eq!(difference(&train(1), &train(1)), 0.0);
    assert!(difference(&train(1), &train(2)) > 1e-3);
    let broken = MobileNetV1Config {
        dropout_keep_prob: 0.0,
        ..narrow()
    };
    let vb = var_builder(random_parameters(&broken, 5).unwrap()).unwrap();
    assert!(matches!(
        MobileNetV1::new(&broken, vb),
        Err(ModelError::Setting { .. })
    ));
}

#[test]
fn any_number_of_input_channels() {
    for in_channels in [1, 4] {
        let mut config = narrow();
        config.base.in_channels = in_channels;
        let xs = Tensor::rand(-1f32, 1.0, (1, in_channels, 40, 56), &Device::Cpu).unwrap();
        assert_eq!(
            classifier(&config).forward_t(&xs, false).unwrap().dims(),
            [1, 10]
        );
    }
}

#[test]
fn a_new_classifier_keeps_the_body() {
    let xs = images(64, 64);
    let mut network = classifier(&narrow());
    let features = network.features(&xs).unwrap();
    let more = MobileNetV1Config {
        num_classes: Some(3),
        ..narrow()
    };
    let vb = var_builder(random_parameters(&more, 9).unwrap()).unwrap();
    network.reset_classifier(Some(3), vb.clone()).unwrap();
    assert_eq!(network.forward_t(&xs, false).unwrap().dims(), [1, 3]);
    assert_eq!(difference(&network.features(&xs).unwrap(), &features), 0.0);
    network.reset_classifier(None, vb).unwrap();
    assert_eq!(
        difference(&network.forward_t(&xs, false).unwrap(), &features),
        0.0
    );
}

#[test]
fn impossible_settings_are_errors() {
    let channels = BaseConfig {
        in_channels: 0,
        ..BaseConfig::default()
    };
    assert!(matches!(
        body_layers(&channels),
        Err(ModelError::Setting {
            setting: "in_channels",
            ..
        })
    ));
    let nan = BaseConfig {
        depth_multiplier: f64::NAN,
        ..BaseConfig::default()
    };
    assert!(matches!(
        body_layers(&nan),
        Err(ModelError::DepthMultiplier { .. })
    ));
    let huge = BaseConfig {
        depth_multiplier: 1e300,
        ..BaseConfig::default()
    };
    assert!(body_layers(&huge).is_err());
    let strideless = BaseConfig {
        conv_defs: vec![ConvDef::conv(0, 8)],
        final_endpoint: "Conv2d_0".parse().unwrap(),
        ..BaseConfig::default()
    };
    let config = MobileNetV1Config {
        base: strideless,
        ..MobileNetV1Config::default()
    };
    assert!(matches!(
        summary(&config, 32, 32),
        Err(ModelError::Geometry { .. })
    ));
}
