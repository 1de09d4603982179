//! Anchors, the coder, and the network's sizes, against TensorFlow's.

use mobilenet_detect::anchors::{AnchorOrder, AnchorRule, MOST_ANCHORS, check_anchors};
use mobilenet_detect::bounds::overlap;
use mobilenet_detect::coder::BoxCoder;
use mobilenet_detect::{DetectError, SsdConfig};

fn close(found: &[f32], expected: &[f32], most: f32) {
    let mut pairs = found.iter().zip(expected);
    let good = pairs.all(|(a, b)| (a - b).abs() <= most);
    assert!(
        good && found.len() == expected.len(),
        "{found:?}, expected {expected:?}"
    );
}

/// Of google-coral's files, and of the formula in f32.
#[test]
fn anchors_of_ssd_300() {
    let anchors = SsdConfig::new(1.0, 90).anchors().unwrap();
    assert_eq!(anchors.len(), 1917);
    for (row, expected) in [
        (0, [0.026316, 0.026316, 0.1, 0.1]),
        (1, [0.026316, 0.026316, 0.141421, 0.282843]),
        (1083, [0.05, 0.05, 0.35, 0.35]),
        (1084, [0.05, 0.05, 0.247487, 0.494975]),
        (1086, [0.05, 0.05, 0.202073, 0.606218]),
        (1087, [0.05, 0.05, 0.606248, 0.202062]),
        (1088, [0.05, 0.05, 0.418330, 0.418330]),
        (1916, [0.5, 0.5, 0.974679, 0.974679]),
    ] {
        close(&anchors[row], &expected, 1e-6);
    }
}

#[test]
fn the_old_order_has_the_box_between_scales_second() {
    let mut config = SsdConfig::new(1.0, 1);
    let new = config.anchors().unwrap();
    config.anchors.order = AnchorOrder::Second;
    let old = config.anchors().unwrap();
    // The first map has no such box.
    assert_eq!(new[..1083], old[..1083]);
    for cell in 0..(1917 - 1083) / 6 {
        let at = 1083 + 6 * cell;
        let [a, b, c, d, e, between] = new[at..at + 6].try_into().unwrap();
        assert_eq!(old[at..at + 6], [a, between, b, c, d, e]);
    }
}

#[test]
fn counts_by_size() {
    let count = |side| {
        let size = [side, side];
        SsdConfig {
            size,
            ..SsdConfig::new(1.0, 2)
        }
        .anchors()
        .unwrap()
        .len()
    };
    assert_eq!([300, 320, 512].map(count), [1917, 2034, 5118]);
    let rule = AnchorRule::default();
    let too_many = rule.anchors(&[[MOST_ANCHORS, MOST_ANCHORS]; 2], [1, 1]);
    assert!(matches!(too_many, Err(DetectError::Limit { .. })));
}

#[test]
fn boxes_are_square_in_pixels_where_the_image_is_not() {
    let anchors = AnchorRule::default()
        .anchors(&[[2, 4]], [100, 200])
        .unwrap();
    let [_, _, height, width] = anchors[0];
    assert_eq!((height * 100.0, width * 200.0), (10.0, 10.0));
}

#[test]
fn anchors_of_a_file_are_checked() {
    for broken in [
        [0.5, 0.5, 0.0, 1.0],
        [f32::NAN, 0.5, 1.0, 1.0],
        [0.5, 0.5, 1.0, f32::INFINITY],
    ] {
        let error = check_anchors(&[[0.5, 0.5, 1.0, 1.0], broken]).unwrap_err();
        assert!(error.to_string().starts_with("anchor 1 "), "{error}");
    }
    assert!(check_anchors(&[]).is_err());
}

/// The test of the Object Detection API's `faster_rcnn_box_coder`, whose factors are 1.
#[test]
fn the_coder_is_tensorflows() {
    let coder = BoxCoder { scales: [1.0; 4] };
    // The anchor is [15, 12, 30, 18] by its corners.
    let (bounds, anchor) = ([10.0, 10.0, 20.0, 15.0], [22.5, 15.0, 15.0, 6.0]);
    let code = coder.encode(bounds, anchor);
    close(&code, &[-0.5, -0.416667, -0.405465, -0.182321], 1e-6);
    close(&coder.decode(code, anchor), &bounds, 1e-4);
}

#[test]
fn the_overlap_of_boxes() {
    let whole = [0.0, 0.0, 2.0, 2.0];
    assert_eq!(overlap(whole, whole), 1.0);
    assert_eq!(overlap(whole, [1.0, 1.0, 3.0, 3.0]), 1.0 / 7.0);
    assert_eq!(overlap(whole, [2.0, 0.0, 3.0, 3.0]), 0.0);
    // Without an area, and turned around.
    assert_eq!(overlap(whole, [1.0, 1.0, 1.0, 2.0]), 0.0);
    assert_eq!(overlap(whole, [2.0, 2.0, 0.0, 1.0]), 0.0);
}

/// The paper's table 13: 1.2 billion multiply-adds, 6.8 million parameters.
#[test]
fn sizes_of_networks() {
    for (width, side, classes, millions, weights) in [
        (1.0, 300, 90, [1055.2, 61.6, 120.3], 6.791),
        (0.75, 300, 90, [603.2, 34.7, 90.2], 4.089),
    ] {
        let size = [side, side];
        let config = SsdConfig {
            size,
            ..SsdConfig::new(width, classes)
        };
        let network = config.network().unwrap();
        let found = network.multiply_adds(size).unwrap();
        for (found, expected) in found.iter().zip(millions) {
            let found = *found as f64 / 1e6;
            assert!(
                (found - expected).abs() < 0.06,
                "{width}: {found}, {expected}"
            );
        }
        let found = network.weights() as f64 / 1e6;
        assert!((found - weights).abs() < 6e-4, "{width}: {found}");
    }
    for (width, side, classes, total, weights) in [
        (0.25, 300, 90, 118.8, 0.693),
        (1.0, 300, 20, 1148.5, 5.770),
        (1.0, 512, 2, 3143.0, 5.507),
    ] {
        let size = [side, side];
        let config = SsdConfig {
            size,
            ..SsdConfig::new(width, classes)
        };
        let network = config.network().unwrap();
        let found = network.multiply_adds(size).unwrap().iter().sum::<u64>() as f64 / 1e6;
        assert!((found - total).abs() < 0.06, "{width}: {found}");
        let found = network.weights() as f64 / 1e6;
        assert!((found - weights).abs() < 6e-4, "{width}: {found}");
    }
}

#[test]
fn names_carry_the_scaled_depth() {
    let network = SsdConfig::new(0.75, 90).network().unwrap();
    let names: Vec<_> = network.layers[27..29]
        .iter()
        .map(|layer| layer.name.as_str())
        .collect();
    let expected = [
        "Conv2d_13_pointwise_1_Conv2d_2_1x1_192",
        "Conv2d_13_pointwise_2_Conv2d_2_3x3_s2_384",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        network.grids,
        [[19, 19], [10, 10], [5, 5], [3, 3], [2, 2], [1, 1]]
    );
    let reads: Vec<_> = network.predictors.iter().map(|one| one.reads).collect();
    assert_eq!(reads, [22, 26, 28, 30, 32, 34]);
}

#[test]
fn impossible_networks_are_refused() {
    for config in [
        SsdConfig::new(1.0, 0),
        SsdConfig::new(1.0, 1_000_000_000),
        SsdConfig::new(f64::NAN, 1),
        SsdConfig {
            size: [0, 300],
            ..SsdConfig::new(1.0, 1)
        },
        SsdConfig {
            size: [300, usize::MAX],
            ..SsdConfig::new(1.0, 1)
        },
    ] {
        assert!(config.network().is_err(), "{config:?}");
    }
}
