//! A detector's file for browsers: its layers in integers or f32, its anchors and its rules.

use std::path::Path;

use anyhow::{Context, Result, bail};
use mobilenet::detect::anchors::Anchor;
use mobilenet::detect::floats::FloatLayer;
use mobilenet::detect::tflite::{Joint, QuantizedDetector};
use mobilenet::detect::{
    Computation, DetectorWeights, PostProcess, Suppression, UnpackedDetector, UnpackedFloats,
};
use mobilenet::hub::DETECTORS;
use mobilenet::kernels::inference::{ConvKind, LayerShape};
use mobilenet::kernels::integer::{IntegerLayer, IntegerOperation};
use mobilenet::model::checkpoint::exists;
use mobilenet::model::preprocess::Resize;
use mobilenet::model::quantized::Arithmetic;
use mobilenet_web::write::{self, FloatBranch};
use serde_json::{Value, json};
use xtask::WebType;

use super::container::{Container, le};
use super::converted::{Converted, precision, rule, short_name};

/// Converts a detector: a file or folder, or a known name; `None` for other weights.
pub(super) fn convert(weights: &str, dtype: WebType) -> Result<Option<Converted>> {
    let is_known = DETECTORS.iter().any(|known| known.name == weights);
    if !exists(Path::new(weights)) && !is_known {
        return Ok(None);
    }
    let path = mobilenet_cli::detector_file(weights)?;
    let Some(detector) = UnpackedDetector::open(&path)? else {
        return Ok(None);
    };
    // Checks that the parts go together.
    let checked = DetectorWeights::packed(detector.clone(), Computation::default())?;
    let about = About {
        checked: &checked,
        source: path.file_name().and_then(|name| name.to_str()),
    };
    let (precision, bytes) = match &detector {
        UnpackedDetector::Integers(detector) => ("integers", of_integers(detector, &about)?),
        UnpackedDetector::Floats(detector) => {
            (precision(dtype), of_floats(detector, dtype, &about)?)
        }
    };
    Ok(Some(Converted {
        name: short_name(weights),
        precision,
        size: checked.preprocessing().size,
        classes: checked.post_process().classes,
        detects: true,
        bytes,
    }))
}

fn of_integers(detector: &QuantizedDetector, about: &About<'_>) -> Result<Vec<u8>> {
    let mut container = Container::default();
    let chain = &detector.chain.layers;
    let add = |container: &mut Container, index: usize, layer: &IntegerLayer| {
        if let IntegerOperation::Convolution(convolution) = &layer.operation {
            container.add_integers(index, convolution);
        }
    };
    for (index, layer) in chain.iter().enumerate() {
        add(&mut container, index, layer);
    }
    for (branch, own) in detector.branches.iter().enumerate() {
        let index = chain.len() + branch;
        add(&mut container, index, &own.layer);
        let numbers = numbers(detector, branch)
            .with_context(|| format!("{}: nothing reads this predictor", own.layer.name))?;
        let shape = [numbers.len()];
        let bytes = le(&numbers, f32::to_le_bytes);
        container.add(index, "numbers", "F32", &shape, &bytes);
    }
    let joined = [&detector.boxes, &detector.scores].map(|joint| joint.branches.as_slice());
    let arithmetic = Arithmetic::default();
    let network = write::integer_detector(&detector.chain, arithmetic, &detector.branches, joined);
    container.into_bytes(&about.json(&network, &detector.rules.anchors)?)
}

/// The number that each byte of a predictor means in the end.
fn numbers(detector: &QuantizedDetector, branch: usize) -> Option<Vec<f32>> {
    let of = |joint: &Joint| {
        let place = joint.branches.iter().position(|&other| other == branch)?;
        let numbers = joint.numbers();
        let table = joint.tables.get(place)?;
        Some(
            table
                .iter()
                .map(|&byte| numbers[usize::from(byte)])
                .collect(),
        )
    };
    of(&detector.boxes).or_else(|| of(&detector.scores))
}

fn of_floats(detector: &UnpackedFloats, dtype: WebType, about: &About<'_>) -> Result<Vec<u8>> {
    let network = &detector.network;
    let mut container = Container::default();
    let joints: Vec<FloatLayer> = network.predictors.iter().map(|own| own.joint()).collect();
    for (index, layer) in network.layers.iter().chain(&joints).enumerate() {
        let FloatLayer {
            shape,
            weights,
            bias,
            ..
        } = layer;
        // As for a classifier: the others are few, and affect more of the result.
        let is_large = index > 0 && shape.kind == ConvKind::Conv;
        let dtype = if is_large { dtype } else { WebType::F32 };
        container.add_floats(index, dtype, &weight_shape(shape), weights, bias)?;
    }
    let shapes: Vec<LayerShape> = network.layers.iter().map(|layer| layer.shape).collect();
    let branches = network.predictors.iter().map(|own| FloatBranch {
        reads: own.reads,
        cell: [&own.boxes, &own.scores].map(|layer| layer.shape.out_channels),
        geometry: own.boxes.shape.geometry,
    });
    let [rows, columns] = network.size;
    let branches: Vec<FloatBranch> = branches.collect();
    let words = write::float_detector([rows, columns, 3], &shapes, &branches);
    container.into_bytes(&about.json(&words, &detector.anchors)?)
}

fn weight_shape(shape: &LayerShape) -> [usize; 4] {
    let inputs = match shape.kind {
        ConvKind::Conv => shape.in_channels,
        ConvKind::Depthwise => 1,
    };
    let [rows, columns] = shape.geometry.kernel;
    [shape.out_channels, inputs, rows, columns]
}

/// What the file says beside the layers.
struct About<'a> {
    checked: &'a DetectorWeights,
    source: Option<&'a str>,
}

impl About<'_> {
    fn json(&self, network: &[u32], anchors: &[Anchor]) -> Result<Value> {
        let checked = self.checked;
        let preprocessing = checked.preprocessing();
        let name = |class| checked.names().name(class).unwrap_or_default();
        let names = (0..checked.post_process().classes).map(name);
        // The photo is only a part of the image then.
        let fits = matches!(preprocessing.resize, Resize::LongestEdge { .. });
        Ok(json!({
            "network": network,
            "rule": write::rule(&rule(preprocessing)),
            "labels": names.collect::<Vec<_>>(),
            "detector": {
                "anchors": anchors.as_flattened(),
                "first_class": checked.first_class(),
                "fits": fits.then_some(preprocessing.size),
                "rule": post_process(checked.post_process())?,
            },
            "source": self.source,
        }))
    }
}

/// How boxes are chosen, as `web/detect.js` reads it.
fn post_process(rule: &PostProcess) -> Result<Value> {
    let (kind, each) = match rule.suppression {
        Suppression::BestClass { classes } => ("best", classes),
        Suppression::Regular { per_class } => ("regular", per_class),
        Suppression::PerClass {
            per_class,
            soft: None,
        } => ("per class", per_class),
        Suppression::PerClass { .. } => bail!("the page has no soft suppression"),
    };
    Ok(json!({
        "classes": rule.classes,
        "scales": rule.coder.scales,
        "suppression": kind,
        "each": each,
        "overlap": rule.overlap,
        "most": rule.most,
    }))
}
