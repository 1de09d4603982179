//! Measures detectors, ours and other engines in turn, for `detection.json` and `detection.md`: SSD 300
//! in f32 with random weights, from the image to boxes and scores of all anchors; and a quantised TFLite
//! file, if it is beside the project, from the image to the detections.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use mobilenet::detect::floats::{FloatLayer, FloatNetwork};
use mobilenet::detect::{Computation, DetectorWeights, SsdConfig};
use mobilenet::kernels::ConvKind;
use mobilenet_benches::{pixels, random_ssd};
use serde_json::json;

use super::compared::{Compared, Tolerance};
use super::engine::{Engine, turns};
use super::environment::Environment;
use super::machine::Machine;
use super::network::{Description, LayerDescription, save_tensors, tensor};
use super::results::Scenario;
use crate::commands::docs::root;

/// COCO's.
const CLASSES: usize = 90;

/// Turns per engine.
const TURNS: usize = 12;

/// Ours first.
const FLOAT_ENGINES: [&str; 3] = ["plan", "litert", "onnxruntime"];
const INTEGER_ENGINES: [&str; 2] = ["integers", "litert"];

/// TensorFlow Hub's SSD of width 0.75, where files that are not committed are.
const QUANTIZED: &str = "../shared/data/models/ssd_mobilenet_v1.uint8.tflite";
const QUANTIZED_WIDTH: f64 = 0.75;

pub(super) fn measure(
    environment: &Environment,
    machine: Machine,
    quick: bool,
) -> Result<Compared> {
    let mut results = Compared::new(machine);
    let floats = tempfile::tempdir()?;
    let config = SsdConfig::new(1.0, CLASSES);
    let network = random_ssd(&config).map_err(|error| anyhow!(error))?;
    write(floats.path(), &network)?;
    let quantized = root().join(QUANTIZED);
    let integers = tempfile::tempdir()?;
    let has_file = quantized.exists();
    match has_file {
        true => copy(&quantized, integers.path())?,
        false => results
            .not_run
            .push(format!("uint8: {QUANTIZED} is not there")),
    }
    for threads in [1, 2] {
        let scenario = |width| Scenario {
            width,
            resolution: config.size[0],
            batch: 1,
            threads,
        };
        results.measure(
            "f32",
            scenario(config.width),
            &FLOAT_ENGINES,
            |name| Engine::start_detector(environment, ["f32", name], floats.path(), threads),
            Tolerance::OfLargest(1e-4),
            turns(TURNS, quick),
        )?;
        if !has_file {
            continue;
        }
        results.measure(
            "uint8",
            scenario(QUANTIZED_WIDTH),
            &INTEGER_ENGINES,
            |name| Engine::start_detector(environment, ["uint8", name], integers.path(), threads),
            Tolerance::Absolute(0.0),
            turns(TURNS, quick),
        )?;
    }
    Ok(results)
}

/// The network as peers read it, and an image.
fn write(folder: &Path, network: &FloatNetwork) -> Result<()> {
    let mut tensors = Vec::new();
    let mut maps = Vec::new();
    let mut describe = |layer: &FloatLayer, [rows, columns]: [usize; 2]| -> Result<_> {
        let FloatLayer {
            name,
            shape,
            weights,
            bias,
        } = layer;
        let size = shape.geometry.resolve(1, rows, columns)?;
        let [kernel_rows, kernel_columns] = shape.geometry.kernel;
        let depthwise = shape.kind == ConvKind::Depthwise;
        let inputs = if depthwise { 1 } else { shape.in_channels };
        let axes = [shape.out_channels, inputs, kernel_rows, kernel_columns];
        tensors.push((format!("{name}.weight"), tensor(weights, &axes)?));
        tensors.push((format!("{name}.bias"), tensor(bias, &[bias.len()])?));
        Ok(LayerDescription {
            name: name.clone(),
            depthwise,
            stride: shape.geometry.stride,
            padding: [
                size.rows.before,
                size.columns.before,
                size.rows.after(),
                size.columns.after(),
            ],
            output: [size.rows.output, size.columns.output, shape.out_channels],
            reads: None,
        })
    };
    let mut layers: Vec<LayerDescription> = Vec::new();
    let mut size = network.size;
    for layer in &network.layers {
        let described = describe(layer, size)?;
        size = [described.output[0], described.output[1]];
        maps.push(size);
        layers.push(described);
    }
    let mut predictors = Vec::new();
    for one in &network.predictors {
        let size = maps.get(one.reads).context("a predictor reads no layer")?;
        for layer in [&one.boxes, &one.scores] {
            predictors.push(LayerDescription {
                reads: Some(one.reads),
                ..describe(layer, *size)?
            });
        }
    }
    let [rows, columns] = network.size;
    let image = tensor(&pixels(rows * columns * 3), &[1, rows, columns, 3])?;
    save_tensors(folder, "network", tensors)?;
    save_tensors(folder, "image", vec![("image".to_string(), image)])?;
    let description = Description {
        size: network.size,
        layers,
        predictors,
    };
    let text = serde_json::to_string(&description)?;
    std::fs::write(folder.join("network.json"), text)?;
    Ok(())
}

/// The quantised file, and an image for it.
fn copy(file: &Path, folder: &Path) -> Result<()> {
    std::fs::copy(file, folder.join("model.tflite"))?;
    let weights = DetectorWeights::open(file, Computation::default())?;
    let [rows, columns] = weights.preprocessing().size;
    let bytes = pixels(rows * columns * 3);
    let bytes: Vec<u8> = bytes.iter().map(|x| (127.5 * (x + 1.0)) as u8).collect();
    std::fs::write(folder.join("image.bin"), bytes)?;
    let description =
        json!({ "type": "uint8", "rows": rows, "columns": columns, "scale": 1.0, "zero_point": 0 });
    std::fs::write(folder.join("image.json"), description.to_string())?;
    Ok(())
}

pub(super) fn page(detection: &Compared) -> Result<String> {
    let machine = &detection.machine;
    Ok(format!(
        "# Detection\n\n\
         Generated by `cargo xtask report` from `detection.json`; `cargo xtask report --check` compares.\n\n\
         {}, {} cores, {}. {}, commit {}.\n\n\
         All engines run the same SSD on one image, each in its own process, in turn. `f32` has random \
         weights and {CLASSES} classes; its outputs are the encodings of all boxes and their scores, \
         and those differ that are not ours within 1e-4 of the largest. `uint8` is TensorFlow Hub's \
         quantised file with its post-processing; its outputs are boxes, classes and scores of the \
         detections. `plan` and `integers` are this project. Loading `plan` makes its random weights.{}\n{}",
        machine.processor,
        machine.cores,
        machine.instructions(),
        machine.date,
        machine.commit(),
        machine.footnote(),
        detection.table()?,
    ))
}
