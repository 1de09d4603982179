//! A detector's file for browsers: a quantised TFLite file's integers, its anchors and its rules.

use std::path::Path;

use anyhow::{Context, Result, bail};
use mobilenet::detect::options::OPERATOR;
use mobilenet::detect::tflite::{Joint, QuantizedDetector};
use mobilenet::detect::{Computation, DetectorWeights, PostProcess, Suppression};
use mobilenet::kernels::integer::{IntegerLayer, IntegerOperation};
use mobilenet::model::checkpoint::readers::{has_custom_operator, has_integers, read_branches};
use mobilenet::model::checkpoint::{Format, ReadLimits, read_file};
use mobilenet::model::quantized::Arithmetic;
use mobilenet_web::write;
use serde_json::{Value, json};

use super::container::{Container, le};
use super::converted::{Converted, rule, short_name};

/// Converts a detector; `None` for other weights.
pub(super) fn convert(weights: &str) -> Result<Option<Converted>> {
    let path = Path::new(weights);
    let limits = ReadLimits::default();
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = read_file(path, limits)?;
    let broken = || format!("cannot read {weights}");
    if Format::detect(&bytes) != Some(Format::Tflite)
        || !has_custom_operator(&bytes, OPERATOR).with_context(broken)?
    {
        return Ok(None);
    }
    if !has_integers(&bytes, limits).with_context(broken)? {
        bail!("{weights} is a detector in f32; the page takes quantised ones");
    }
    let detector = QuantizedDetector::new(read_branches(&bytes, limits).with_context(broken)?)?;
    // Checks that the parts go together.
    let checked = DetectorWeights::quantized(detector.clone(), Computation::default())?;
    let classes = checked.post_process().classes;
    Ok(Some(Converted {
        name: short_name(weights),
        precision: "integers",
        size: checked.preprocessing().size,
        classes,
        detects: true,
        bytes: file(&detector, &checked, weights)?,
    }))
}

fn file(detector: &QuantizedDetector, checked: &DetectorWeights, source: &str) -> Result<Vec<u8>> {
    let mut container = Container::default();
    let chain = &detector.chain.layers;
    for (index, layer) in chain.iter().enumerate() {
        add(&mut container, index, layer);
    }
    for (branch, own) in detector.branches.iter().enumerate() {
        let index = chain.len() + branch;
        add(&mut container, index, &own.layer);
        let numbers = numbers(detector, branch)
            .with_context(|| format!("{}: nothing reads this predictor", own.layer.name))?;
        let shape = [numbers.len()];
        container.add(
            index,
            "numbers",
            "F32",
            &shape,
            &le(&numbers, f32::to_le_bytes),
        );
    }
    let joined = [&detector.boxes, &detector.scores].map(|joint| joint.branches.as_slice());
    let arithmetic = Arithmetic::default();
    let network = write::integer_detector(&detector.chain, arithmetic, &detector.branches, joined);
    let name = |class| checked.names().name(class).unwrap_or_default();
    let names = (0..checked.post_process().classes).map(name);
    let source = Path::new(source).file_name().and_then(|name| name.to_str());
    container.into_bytes(&json!({
        "network": network,
        "rule": write::rule(&rule(checked.preprocessing())?),
        "labels": names.collect::<Vec<_>>(),
        "detector": {
            "anchors": detector.rules.anchors.as_flattened(),
            "first_class": checked.first_class(),
            "rule": post_process(checked.post_process())?,
        },
        "source": source,
    }))
}

fn add(container: &mut Container, index: usize, layer: &IntegerLayer) {
    if let IntegerOperation::Convolution(convolution) = &layer.operation {
        container.add_integers(index, convolution);
    }
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

/// How boxes are chosen, as `web/detect.js` reads it.
fn post_process(rule: &PostProcess) -> Result<Value> {
    let (kind, each) = match rule.suppression {
        Suppression::BestClass { classes } => ("best", classes),
        Suppression::Regular { per_class } => ("regular", per_class),
        Suppression::PerClass { .. } => bail!("no TFLite file has the rule of TensorFlow's graphs"),
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
