//! The SSD of `ssd_graph` as face-api's manifest has it: other names, batch normalisation folded except in
//! depthwise layers, anchors as corners, which are those of the old order at 512 pixels.

use std::sync::Arc;

use mobilenet_detect::anchors::AnchorOrder;
use mobilenet_detect::variables::SsdVariables;
use mobilenet_detect::{DetectorWeights, SsdConfig, UnpackedFloats};
use mobilenet_model::array::Values;
use mobilenet_model::checkpoint::readers::{NamedTensors, RawTensor};

use crate::ssd_graph::{config, image, variables};

#[test]
fn face_apis_names() {
    let file = variables(&config());
    let mut faces = NamedTensors::default();
    let raw = |shape: &[usize], values: Vec<f32>| RawTensor {
        dtype: "float32".to_string(),
        shape: shape.to_vec(),
        values: Some(Arc::new(Values::F32(values.into()))),
        quantization: None,
    };
    let get = |name: &str| file.tensors[name].to_f32().unwrap().into_owned();
    for name in file.tensors.keys() {
        let tensor = file.tensors[name].clone();
        let Some(layer) = name.strip_prefix("FeatureExtractor/MobilenetV1/") else {
            faces.tensors.insert(format!("Prediction/{name}"), tensor);
            continue;
        };
        if layer.contains("_depthwise/") {
            faces.tensors.insert(format!("MobilenetV1/{layer}"), tensor);
        } else if let Some(scope) = layer.strip_suffix("/weights") {
            let own = format!("FeatureExtractor/MobilenetV1/{scope}/BatchNorm");
            let [gamma, beta, mean, variance] = ["gamma", "beta", "moving_mean", "moving_variance"]
                .map(|part| get(&format!("{own}/{part}")));
            let factor: Vec<f32> = gamma
                .iter()
                .zip(&variance)
                .map(|(g, v)| g / (v + 1e-3).sqrt())
                .collect();
            // TensorFlow's weights end with the outputs.
            let weights = get(name);
            let weights = weights.chunks(factor.len()).flat_map(|row| {
                row.iter()
                    .zip(&factor)
                    .map(|(w, f)| w * f)
                    .collect::<Vec<_>>()
            });
            let weights = raw(&tensor.shape, weights.collect());
            let offset = (0..factor.len())
                .map(|c| beta[c] - mean[c] * factor[c])
                .collect();
            let scope = match scope.split_once("_pointwise_") {
                // `1_Conv2d_2_1x1_128` and `2_Conv2d_2_3x3_s2_128` are the first two.
                Some((_, extra)) => {
                    let digit = |at: usize| usize::from(extra.as_bytes()[at] - b'0');
                    let number = 2 * (digit(9) - 2) + digit(0) - 1;
                    format!("Prediction/Conv2d_{number}_pointwise")
                }
                None if scope == "Conv2d_0" => "MobilenetV1/Conv2d_0_pointwise".to_string(),
                None => format!("MobilenetV1/{scope}"),
            };
            faces.tensors.insert(format!("{scope}/weights"), weights);
            faces.tensors.insert(
                format!("{scope}/convolution_bn_offset"),
                raw(&[factor.len()], offset),
            );
        }
    }
    let mut config = SsdConfig {
        size: [512; 2],
        ..config()
    };
    config.anchors.order = AnchorOrder::Second;
    let anchors = config.anchors().unwrap();
    let corners = anchors
        .iter()
        .flat_map(|&[y, x, h, w]| [y - h / 2.0, x - w / 2.0, y + h / 2.0, x + w / 2.0]);
    faces.tensors.insert(
        "Output/extra_dim".to_string(),
        raw(&[1, anchors.len(), 4], corners.collect()),
    );

    let faces_of = |variables: &SsdVariables<'_>, own| {
        DetectorWeights::floats(UnpackedFloats::faces(variables, own)?)
    };
    let variables = SsdVariables::find(&faces).unwrap();
    let own = variables.anchors().unwrap().unwrap();
    for (own, expected) in own.iter().flatten().zip(anchors.iter().flatten()) {
        assert!((own - expected).abs() < 1e-6);
    }
    let weights = faces_of(&variables, own).unwrap();
    assert_eq!(weights.preprocessing().size, [512, 512]);
    assert_eq!(weights.names().name(0), Some("face"));
    let image = image([512; 2]);
    let found = weights.plan(2).unwrap().predict(&image).unwrap();
    let same = SsdVariables::find(&file).unwrap();
    let same = UnpackedFloats::variables(&same, &config);
    let same = DetectorWeights::floats(same.unwrap()).unwrap();
    let expected = same.plan(2).unwrap().predict(&image).unwrap();
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((found - expected).abs() < 1e-4, "{found}, {expected}");
    }
    // Anchors of another count, and broken ones.
    let mut change = |shape: &[usize], values: Vec<f32>| {
        faces
            .tensors
            .insert("Output/extra_dim".to_string(), raw(shape, values));
        let variables = SsdVariables::find(&faces).unwrap();
        let own = variables.anchors().map(Option::unwrap);
        own.and_then(|own| faces_of(&variables, own))
            .unwrap_err()
            .to_string()
    };
    let found = change(&[1, 2, 4], vec![0.0, 0.0, 0.5, 0.5, 0.1, 0.1, 0.5, 0.5]);
    assert!(
        found.contains("number of anchors must be that of an SSD"),
        "{found}"
    );
    let found = change(&[1, 2, 4], vec![f32::NAN; 8]);
    assert!(found.contains("anchor 0 must be finite"), "{found}");
    let found = change(&[1, 6], vec![0.5; 6]);
    assert!(
        found.contains("`Output/extra_dim` has the shape [1, 6]"),
        "{found}"
    );
}
