//! Counts of the networks with which the paper compares, against the counts of torchvision 0.29.2
//! (SqueezeNet, VGG, Inception V3) and Keras 3.15 (Xception), the published ones, and formulas.

use mobilenet_model::inspect::Summary;
use mobilenet_model::prior_work::{NAMES, network, summary_of};
use mobilenet_model::{ConvDef, MOBILENET_V1_CONV_DEFS, ModelError};

fn at(name: &str, side: usize) -> Summary {
    summary_of(name, Some([side; 2])).unwrap()
}

/// Name, side; trainable parameters, running statistics, multiply-adds.
const COUNTS: [(&str, usize, usize, usize, u64); 11] = [
    ("squeezenet1_0", 224, 1_248_424, 0, 818_924_576),
    ("squeezenet1_0", 227, 1_248_424, 0, 832_667_936),
    ("squeezenet1_1", 224, 1_235_496, 0, 349_151_936),
    ("xception", 299, 22_855_952, 54_528, 8_357_403_496),
    ("vgg16", 224, 138_357_544, 0, 15_470_264_320),
    ("inception_v3", 299, 23_834_568, 34_432, 5_713_216_096),
    ("alexnet", 227, 60_965_224, 0, 724_406_816),
    ("googlenet", 224, 6_998_552, 0, 1_582_671_872),
    ("conv_mobilenet", 224, 29_294_088, 11_968, 4_867_293_184),
    ("shallow_mobilenet", 224, 2_887_976, 11_648, 307_323_392),
    ("flattened_mobilenet", 224, 8_111_368, 0, 1_582_119_936),
];

#[test]
fn counts_are_those_of_the_frameworks_and_papers() {
    for (name, side, trainable, moving, multiply_adds) in COUNTS {
        let found = at(name, side);
        let moved = found.parameters - found.trainable_parameters;
        assert_eq!(
            (found.trainable_parameters, moved, found.multiply_adds),
            (trainable, moving, multiply_adds),
            "{name} at {side}"
        );
    }
    assert!(
        NAMES
            .iter()
            .all(|name| COUNTS.iter().any(|row| row.0 == *name))
    );
}

#[test]
fn without_a_size_it_is_the_published_one() {
    for (name, side) in [
        ("xception", 299),
        ("alexnet", 227),
        ("shallow_mobilenet", 224),
    ] {
        let own = summary_of(name, None).unwrap();
        assert_eq!(own.multiply_adds, at(name, side).multiply_adds, "{name}");
    }
    let unknown = summary_of("resnet50", None).unwrap_err();
    assert!(unknown.to_string().contains("resnet50"), "{unknown}");
    let small = summary_of("inception_v3", Some([20, 20])).unwrap_err();
    assert!(matches!(small, ModelError::Geometry { .. }), "{small}");
}

/// The modules' weights in thousands and multiply-adds in millions, as table 1 of GoogLeNet's paper
/// prints them. Its figure for 5a is 1072 thousand, which the table's own channels do not give.
#[test]
fn modules_of_googlenet_cost_what_its_paper_prints() {
    let found = summary_of("googlenet", None).unwrap();
    for (module, thousands, millions) in [
        ("3a", 159.0, 128.0),
        ("3b", 380.0, 304.0),
        ("4a", 364.0, 73.0),
        ("4b", 437.0, 88.0),
        ("4c", 463.0, 100.0),
        ("4d", 580.0, 119.0),
        ("4e", 840.0, 170.0),
        ("5b", 1388.0, 71.0),
    ] {
        let name = format!("inception_{module}/");
        let layers = found
            .layers
            .iter()
            .filter(|layer| layer.name.starts_with(&name));
        let (weights, multiply_adds) = layers.fold((0, 0), |(weights, sum), layer| {
            let biases = layer.output[2];
            (
                weights + layer.parameters - biases,
                sum + layer.multiply_adds,
            )
        });
        let is_near = |found: f64, printed: f64| (found / printed - 1.0).abs() < 0.08;
        assert!(
            is_near(weights as f64 / 1024.0, thousands),
            "{module} {weights}"
        );
        assert!(
            (multiply_adds as f64 / 1e6 - millions).abs() < 1.0,
            "{module} {multiply_adds}"
        );
    }
}

#[test]
fn flattened_convolutions_have_the_weights_of_their_formula() {
    let found = summary_of("flattened_mobilenet", None).unwrap();
    let mut inputs = 3;
    for (block, row) in MOBILENET_V1_CONV_DEFS
        .iter()
        .map(ConvDef::depth)
        .enumerate()
    {
        let layers = &found.layers[6 * block..6 * block + 6];
        let biases = 6 * row;
        let weights: usize = layers.iter().map(|layer| layer.parameters).sum::<usize>() - biases;
        assert_eq!(
            weights,
            inputs * row + 6 * row + row * row + 6 * row,
            "block {block}"
        );
        inputs = row;
    }
    assert_eq!(found.layers[83].output, [7, 7, 1024]);
}

#[test]
fn maps_of_xception_are_those_of_its_paper() {
    let found = summary_of("xception", None).unwrap();
    let side = |name: &str| {
        let layer = found.layers.iter().find(|layer| layer.name == name);
        layer.unwrap().output[0]
    };
    let names = [
        "block1_conv1",
        "block1_conv2",
        "block2_residual",
        "block3_residual",
    ];
    assert_eq!(names.map(side), [149, 147, 74, 37]);
    let names = ["block5_sepconv1.depthwise", "block14_sepconv2.pointwise"];
    assert_eq!(names.map(side), [19, 10]);
}

#[test]
fn layers_have_different_names() {
    for network in NAMES.into_iter().filter_map(network) {
        let layers = summary_of(network.name, None).unwrap().layers;
        let names: std::collections::HashSet<&str> =
            layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names.len(), layers.len(), "{}", network.name);
    }
}
