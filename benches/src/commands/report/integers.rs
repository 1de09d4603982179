//! Measures networks of 8-bit integers with random weights, ours and other engines in turn, for
//! `integers.json` and `integers.md`.

use std::path::Path;

use anyhow::{Result, bail};
use mobilenet::kernels::integer::{
    IntegerNetwork, IntegerOperation, IntegerType, Integers as Values, ValueKind,
};
use mobilenet::model::MobileNetV1Config;
use mobilenet::model::checkpoint::{
    Metadata, save_integer_onnx, save_integer_safetensors, save_integer_tflite,
};
use mobilenet::model::preprocess::Preprocessing;
use mobilenet::model::quantized::{RandomWeights, random_integers};
use serde_json::json;

use super::compared::{Compared, Tolerance};
use super::engine::{Engine, turns};
use super::environment::Environment;
use super::machine::Machine;
use super::results::Scenario;

/// Width and resolution of the networks.
const SIZES: [(f64, usize); 2] = [(1.0, 224), (0.25, 128)];

/// Turns per engine.
const TURNS: usize = 12;

/// Ours first.
const ENGINES: [&str; 7] = [
    "integers",
    "litert",
    "onnxruntime-nodes",
    "onnxruntime-operators",
    "openvino",
    "pytorch",
    "tract",
];

/// Kinds of networks.
const KINDS: [&str; 3] = ["uint8", "int8", "int8 uniform"];

/// As Google's files are (one scale, small weights), or as converters make it (a scale for each
/// channel, weights that fill their range).
fn network(kind: &str, width: f64, resolution: usize) -> Result<IntegerNetwork> {
    let config = MobileNetV1Config {
        num_classes: Some(1001),
        ..MobileNetV1Config::with_width(width)
    };
    let weights = match kind {
        "int8 uniform" => RandomWeights::Uniform,
        _ => RandomWeights::Normal,
    };
    let mut network = random_integers(&config, [resolution; 2], weights, 0)?;
    if kind != "uint8" {
        return Ok(network);
    }
    let unsigned = |values: &mut ValueKind| {
        if let ValueKind::Quantized(quantized) = values {
            quantized.integer = IntegerType::U8;
            quantized.zero_point += 128;
        }
    };
    unsigned(&mut network.input);
    for layer in &mut network.layers {
        unsigned(&mut layer.output);
        if let IntegerOperation::Convolution(convolution) = &mut layer.operation {
            let weights = &mut convolution.weights;
            let small = |index| weights.values.get(index).unwrap_or_default() / SMALLER;
            let values = (0..weights.values.len()).map(|index| (small(index) + 128) as u8);
            weights.values = Values::U8(values.collect());
            let mean = weights.scales.iter().sum::<f32>() / weights.scales.len() as f32;
            weights.scales = vec![SMALLER as f32 * mean];
            weights.zero_points = vec![128];
            for bias in &mut convolution.bias {
                *bias /= SMALLER;
            }
        }
    }
    Ok(network)
}

/// Google's weights are 6 to 13 on root mean square, and at most 30 to 60.
const SMALLER: i32 = 4;

/// Writes the network in all formats, and an image. Returns the step of a logit.
fn write(folder: &Path, network: &IntegerNetwork, width: f64, resolution: usize) -> Result<f32> {
    let metadata = Metadata {
        width,
        ..Metadata::new(Preprocessing::slim(resolution))
    };
    save_integer_tflite(&folder.join("model.tflite"), network, &metadata)?;
    save_integer_onnx(&folder.join("model.onnx"), network, &metadata)?;
    save_integer_safetensors(&folder.join("model.safetensors"), network, &metadata)?;
    let ValueKind::Quantized(input) = network.input else {
        bail!("the input is no integers");
    };
    let bytes: Vec<u8> = (0..resolution * resolution * 3)
        .map(|index| (index as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    std::fs::write(folder.join("image.bin"), &bytes)?;
    let integer = |byte: u8| match input.integer {
        IntegerType::U8 => i32::from(byte),
        IntegerType::I8 => i32::from(byte as i8),
    };
    let number = |byte: u8| (integer(byte) - input.zero_point) as f32 * input.scale;
    let planes = (0..3).flat_map(|channel| bytes.iter().skip(channel).step_by(3));
    let numbers: Vec<u8> = planes
        .flat_map(|&byte| number(byte).to_le_bytes())
        .collect();
    std::fs::write(folder.join("image.f32"), numbers)?;
    let description = json!({
        "type": match input.integer {
            IntegerType::U8 => "uint8",
            IntegerType::I8 => "int8",
        },
        "rows": resolution,
        "columns": resolution,
        "scale": input.scale,
        "zero_point": input.zero_point,
    });
    std::fs::write(folder.join("image.json"), description.to_string())?;
    match network.layers.last().map(|layer| layer.output) {
        Some(ValueKind::Quantized(logits)) => Ok(logits.scale),
        _ => bail!("the logits are no integers"),
    }
}

pub(super) fn measure(
    environment: &Environment,
    machine: Machine,
    quick: bool,
) -> Result<Compared> {
    let mut results = Compared::new(machine);
    for (width, resolution) in SIZES {
        for kind in KINDS {
            let folder = tempfile::tempdir()?;
            let network = network(kind, width, resolution)?;
            let step = write(folder.path(), &network, width, resolution)?;
            for threads in [1, 2] {
                let scenario = Scenario {
                    width,
                    resolution,
                    batch: 1,
                    threads,
                };
                let sizes = [threads, resolution];
                results.measure(
                    kind,
                    scenario,
                    &ENGINES,
                    |name| Engine::start_integers(environment, name, folder.path(), sizes),
                    Tolerance::Absolute(step / 2.0),
                    turns(TURNS, quick),
                )?;
            }
        }
    }
    Ok(results)
}

pub(super) fn page(integers: &Compared) -> Result<String> {
    let machine = &integers.machine;
    Ok(format!(
        "# Networks of 8-bit integers\n\n\
         Generated by `cargo xtask report` from `integers.json`; `cargo xtask report --check` compares.\n\n\
         {}, {} cores, {}. {}.\n\n\
         All engines run the same network with random weights on one image, each in its own process, \
         in turn. `uint8` has one scale for each layer and small weights, as Google's files; `int8` a \
         scale for each channel and normal weights of which the largest is 127, as converters make \
         them of trained networks; `int8 uniform` is the same with uniform weights, the most work \
         for processors without VNNI. `integers` is this project. \
         `onnxruntime-nodes` reads nodes that quantise and dequantise, `onnxruntime-operators` the \
         operators on integers that ONNX Runtime makes of them. Differing are the logits that are \
         not ours; engines that saturate differ in many.{}\n{}",
        machine.processor,
        machine.cores,
        machine.instructions(),
        machine.date,
        machine.footnote(),
        integers.table()?,
    ))
}
