//! Parameters, multiply-adds and sizes of the published networks. slim's own tests do not cover
//! them.

use mobilenet_model::architecture::{body_layers, body_parameters, parameters};
use mobilenet_model::inspect::summary;
use mobilenet_model::{BaseConfig, MobileNetV1Config};

fn with_classes(classes: usize) -> MobileNetV1Config {
    MobileNetV1Config {
        num_classes: Some(classes),
        ..MobileNetV1Config::mobilenet_v1()
    }
}

#[test]
fn parameter_counts() {
    let body = body_parameters(&BaseConfig::default()).unwrap();
    let trainable: usize = body
        .iter()
        .filter(|p| p.is_trainable())
        .map(|p| p.len())
        .sum();
    assert_eq!(trainable, 3_206_976);
    assert_eq!(body.iter().map(|p| p.len()).sum::<usize>(), 3_228_864);
    for (classes, trainable, all) in [(1000, 4_231_976, 4_253_864), (1001, 4_233_001, 4_254_889)] {
        let summary = summary(&with_classes(classes), 224, 224).unwrap();
        assert_eq!(
            (summary.trainable_parameters, summary.parameters),
            (trainable, all)
        );
    }
}

#[test]
fn variable_counts() {
    let all = parameters(&with_classes(1001)).unwrap();
    let trainable = all.iter().filter(|p| p.is_trainable()).count();
    let batch_norms = all
        .iter()
        .filter(|p| p.name().ends_with("batch_norm.running_mean"))
        .count();
    assert_eq!((all.len(), trainable, batch_norms), (137, 83, 27));
    assert_eq!(body_parameters(&BaseConfig::default()).unwrap().len(), 135);
}

/// Width, resolution; multiply-adds of the body and in total; trainable values with 1000 and with
/// 1001 classes; all values with 1001 classes; side and channels of the last map.
type Size = (f64, usize, u64, u64, usize, usize, usize, usize, usize);

const PUBLISHED: [Size; 16] = [
    (
        1.0,
        224,
        567_716_352,
        568_741_376,
        4_231_976,
        4_233_001,
        4_254_889,
        7,
        1024,
    ),
    (
        1.0,
        192,
        417_097_728,
        418_122_752,
        4_231_976,
        4_233_001,
        4_254_889,
        6,
        1024,
    ),
    (
        1.0,
        160,
        289_651_200,
        290_676_224,
        4_231_976,
        4_233_001,
        4_254_889,
        5,
        1024,
    ),
    (
        1.0,
        128,
        185_376_768,
        186_401_792,
        4_231_976,
        4_233_001,
        4_254_889,
        4,
        1024,
    ),
    (
        0.75,
        224,
        324_632_448,
        325_401_216,
        2_585_560,
        2_586_329,
        2_602_745,
        7,
        768,
    ),
    (
        0.75,
        192,
        238_505_472,
        239_274_240,
        2_585_560,
        2_586_329,
        2_602_745,
        6,
        768,
    ),
    (
        0.75,
        160,
        165_628_800,
        166_397_568,
        2_585_560,
        2_586_329,
        2_602_745,
        5,
        768,
    ),
    (
        0.75,
        128,
        106_002_432,
        106_771_200,
        2_585_560,
        2_586_329,
        2_602_745,
        4,
        768,
    ),
    (
        0.5,
        224,
        148_985_088,
        149_497_600,
        1_331_592,
        1_332_105,
        1_343_049,
        7,
        512,
    ),
    (
        0.5,
        192,
        109_458_432,
        109_970_944,
        1_331_592,
        1_332_105,
        1_343_049,
        6,
        512,
    ),
    (
        0.5, 160, 76_012_800, 76_525_312, 1_331_592, 1_332_105, 1_343_049, 5, 512,
    ),
    (
        0.5, 128, 48_648_192, 49_160_704, 1_331_592, 1_332_105, 1_343_049, 4, 512,
    ),
    (
        0.25, 224, 40_774_272, 41_030_528, 470_072, 470_329, 475_801, 7, 256,
    ),
    (
        0.25, 192, 29_956_608, 30_212_864, 470_072, 470_329, 475_801, 6, 256,
    ),
    (
        0.25, 160, 20_803_200, 21_059_456, 470_072, 470_329, 475_801, 5, 256,
    ),
    (
        0.25, 128, 13_314_048, 13_570_304, 470_072, 470_329, 475_801, 4, 256,
    ),
];

#[test]
fn all_16_published_sizes() {
    for (width, side, body, total, trainable_1000, trainable_1001, all, map, channels) in PUBLISHED
    {
        let sized = |classes| {
            let config = MobileNetV1Config {
                num_classes: Some(classes),
                ..MobileNetV1Config::with_width(width)
            };
            summary(&config, side, side).unwrap()
        };
        let found = sized(1001);
        assert_eq!(
            (found.body_multiply_adds, found.multiply_adds),
            (body, total),
            "{width} {side}"
        );
        assert_eq!(
            (found.trainable_parameters, found.parameters),
            (trainable_1001, all)
        );
        assert_eq!(sized(1000).trainable_parameters, trainable_1000);
        assert_eq!(found.layers[26].output, [map, map, channels]);
    }
}

/// Multiply-adds and weights of each layer, as listed in slim's docstring.
#[test]
fn per_layer_parameters_and_multiply_adds() {
    let found = summary(&with_classes(1001), 224, 224).unwrap();
    let expected: [(u64, usize); 28] = [
        (10_838_016, 864),
        (3_612_672, 288),
        (25_690_112, 2_048),
        (1_806_336, 576),
        (25_690_112, 8_192),
        (3_612_672, 1_152),
        (51_380_224, 16_384),
        (903_168, 1_152),
        (25_690_112, 32_768),
        (1_806_336, 2_304),
        (51_380_224, 65_536),
        (451_584, 2_304),
        (25_690_112, 131_072),
        (903_168, 4_608),
        (51_380_224, 262_144),
        (903_168, 4_608),
        (51_380_224, 262_144),
        (903_168, 4_608),
        (51_380_224, 262_144),
        (903_168, 4_608),
        (51_380_224, 262_144),
        (903_168, 4_608),
        (51_380_224, 262_144),
        (225_792, 4_608),
        (25_690_112, 524_288),
        (451_584, 9_216),
        (51_380_224, 1_048_576),
        (1_025_024, 1_025_024),
    ];
    for (layer, (multiply_adds, weights)) in found.layers.iter().zip(expected) {
        let extra = if layer.kind == "logits" {
            1001
        } else {
            4 * layer.output[2]
        };
        assert_eq!(
            (layer.multiply_adds, layer.parameters - extra),
            (multiply_adds, weights),
            "{}",
            layer.name
        );
    }
    assert_eq!(found.layers.len(), 28);
}

#[test]
fn multiply_adds_of_each_output_stride() {
    for (output_stride, body) in [(32, 567_716_352), (16, 800_959_488), (8, 2_596_608_000)] {
        let mut config = with_classes(1001);
        config.base.output_stride = Some(output_stride);
        assert_eq!(summary(&config, 224, 224).unwrap().body_multiply_adds, body);
    }
}

#[test]
fn min_depth_holds_at_small_widths() {
    let base = BaseConfig {
        depth_multiplier: 0.125,
        ..BaseConfig::default()
    };
    let depths: Vec<usize> = body_layers(&base)
        .unwrap()
        .iter()
        .filter(|layer| !layer.endpoint.to_string().ends_with("depthwise"))
        .map(|layer| layer.out_channels)
        .collect();
    assert_eq!(
        depths,
        [8, 8, 16, 16, 32, 32, 64, 64, 64, 64, 64, 64, 128, 128]
    );
    let wide = BaseConfig {
        min_depth: 32,
        depth_multiplier: 0.5f64.powi(12),
        ..BaseConfig::default()
    };
    assert!(
        body_layers(&wide)
            .unwrap()
            .iter()
            .all(|layer| layer.out_channels == 32)
    );
}

#[test]
fn widths_are_truncated_f64_products() {
    // In f32, rounding 0.7 would make 0.7 * 10 either 6 or 7. 0.1 * 1024 is 102.4.
    let depth = mobilenet_model::architecture::scaled_depth;
    assert_eq!(
        (depth(1024, 0.1, 8), depth(64, 0.35, 8), depth(32, 0.35, 8)),
        (102, 22, 11)
    );
    assert_eq!(depth(100, 0.29, 1), 28); // 28.999999999999996
}
