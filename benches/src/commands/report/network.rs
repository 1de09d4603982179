//! The network that all engines run: random weights from a seed, stored as our checkpoint, and
//! folded for the others. Also times our plan step by step and at all published sizes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use candle_core::{Device, Tensor};
use mobilenet::kernels::inference::{ImageLayout, Images};
use mobilenet::kernels::simd::Isa;
use mobilenet::model::checkpoint::{Checkpoint, LoadReport, Metadata, WeightsDtype, save};
use mobilenet::model::fold::{FoldedLayer, folded_layers, folded_logits};
use mobilenet::model::initialize::random_parameters;
use mobilenet::model::inspect::summary;
use mobilenet::model::preprocess::Preprocessing;
use mobilenet::model::{InferencePlan, LayerKind, MobileNetV1Config, PlanOptions, PlanWeights};
use mobilenet_benches::{min_ms, pixels, step_program};
use serde::Serialize;

use super::environment::{Environment, run};
use super::results::{LayerSpeed, SizeSpeed};

/// A temporary folder with the files that engines read.
pub(super) struct Network {
    folder: tempfile::TempDir,
    layers: Vec<FoldedLayer>,
    width: f64,
    resolution: usize,
}

#[derive(Serialize)]
pub(super) struct LayerDescription {
    pub(super) name: String,
    pub(super) depthwise: bool,
    pub(super) stride: usize,
    pub(super) padding: [usize; 4],
    pub(super) output: [usize; 3],
    /// The layer that a predictor reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reads: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct Description {
    pub(super) size: [usize; 2],
    pub(super) layers: Vec<LayerDescription>,
    /// Of a detector: boxes and scores of each map.
    pub(super) predictors: Vec<LayerDescription>,
}

impl Network {
    pub(super) fn write(width: f64, resolution: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let metadata = Metadata {
            width,
            global_pool: true,
            ..Metadata::new(Preprocessing::plain(resolution))
        };
        let config = metadata.config();
        let parameters = random_parameters(&config, 0)?;
        let layers = folded_layers(&config, &parameters)?;
        let mut tensors = Vec::new();
        let mut descriptions = Vec::new();
        let (mut height, mut columns) = (resolution, resolution);
        for FoldedLayer {
            layer,
            weights,
            bias,
        } in &layers
        {
            let name = layer.endpoint.to_string();
            let size = layer.size(1, height, columns)?;
            (height, columns) = (size.rows.output, size.columns.output);
            descriptions.push(LayerDescription {
                name: name.clone(),
                depthwise: layer.endpoint.kind == LayerKind::Depthwise,
                stride: layer.geometry.stride,
                padding: [
                    size.rows.before,
                    size.columns.before,
                    size.rows.after(),
                    size.columns.after(),
                ],
                output: [height, columns, layer.out_channels],
                reads: None,
            });
            let shape = layer.weight_shape();
            tensors.push((format!("{name}.weight"), tensor(weights, &shape)?));
            tensors.push((format!("{name}.bias"), tensor(bias, &[bias.len()])?));
        }
        if let Some(logits) = folded_logits(&config, &parameters)? {
            let channels = logits.weights.len() / logits.classes;
            tensors.push((
                "logits.weight".into(),
                tensor(&logits.weights, &[logits.classes, channels])?,
            ));
            tensors.push((
                "logits.bias".into(),
                tensor(&logits.bias, &[logits.classes])?,
            ));
        }
        let image = tensor(&image(resolution), &[1, resolution, resolution, 3])?;
        save_tensors(folder.path(), "network", tensors)?;
        save_tensors(folder.path(), "image", vec![("image".to_string(), image)])?;
        let description = Description {
            size: [resolution; 2],
            layers: descriptions,
            predictors: Vec::new(),
        };
        std::fs::write(
            folder.path().join("network.json"),
            serde_json::to_string(&description)?,
        )?;
        let checkpoint = Checkpoint {
            parameters,
            metadata,
            report: LoadReport::default(),
        };
        save(
            &folder.path().join("checkpoint.safetensors"),
            &checkpoint,
            WeightsDtype::F32,
        )?;
        Ok(Self {
            folder,
            layers,
            width,
            resolution,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Paths of the network as ONNX for a batch size, and of the batch as raw f32, NCHW. Writes the
    /// files on first use.
    pub(super) fn onnx(
        &self,
        environment: &Environment,
        batch: usize,
    ) -> Result<(PathBuf, PathBuf)> {
        let model = self.folder().join(format!("model-{batch}.onnx"));
        let images = self.folder().join(format!("images-{batch}.f32"));
        if !model.exists() {
            let mut python = Command::new(environment.python("onnx")?);
            python.arg(environment.script("onnx_model.py"));
            python.arg(self.folder()).arg(batch.to_string()).arg(&model);
            run(python)?;
            let values = image(self.resolution);
            let planes = (0..3).flat_map(|c| values.iter().skip(c).step_by(3));
            let one: Vec<u8> = planes.flat_map(|value| value.to_le_bytes()).collect();
            std::fs::write(&images, one.repeat(batch))?;
        }
        Ok((model, images))
    }

    /// Times each step of the plan alone with warm caches: the stem and the separable blocks.
    pub(super) fn layers(&self) -> Result<Vec<LayerSpeed>> {
        let isa = Isa::best()?;
        let mut speeds = Vec::new();
        let mut side = self.resolution;
        let mut rest = self.layers.as_slice();
        while let Some(first) = rest.first() {
            let count = 1 + usize::from(first.layer.endpoint.kind == LayerKind::Depthwise);
            let (step, after) = rest.split_at(count.min(rest.len()));
            rest = after;
            let (mut multiply_adds, mut weights) = (0, 0);
            let input_side = side;
            let input = side * side * first.layer.in_channels;
            for FoldedLayer {
                layer,
                weights: values,
                bias,
            } in step
            {
                side = layer.size(1, side, side)?.rows.output;
                multiply_adds += (side * side * values.len()) as u64;
                weights += values.len() + bias.len();
            }
            let outputs = step.last().map_or(0, |last| last.layer.out_channels);
            let output = side * side * outputs;
            speeds.push(LayerSpeed {
                width: self.width,
                resolution: self.resolution,
                name: first.layer.endpoint.to_string().replace("_depthwise", ""),
                multiply_adds,
                bytes: 4 * (input + output + weights) as u64,
                min_ms: step_ms(isa, step, input_side, input)?,
            });
        }
        Ok(speeds)
    }
}

/// Milliseconds of a step: the fastest of many runs, minus the time for copying the input, with
/// which a program begins.
fn step_ms(isa: Isa, step: &[FoldedLayer], side: usize, input: usize) -> Result<f64> {
    let mut program = step_program(isa, step, side)?;
    let values = vec![0.5; input];
    let mut features = vec![0.0; program.output_len()];
    let running = min_ms(200, || {
        program.run(&Images::F32(&values, ImageLayout::Nhwc), &mut features)
    })?;
    let mut copy = vec![0.0; input];
    let copying = min_ms(200, || -> Result<()> {
        copy.copy_from_slice(std::hint::black_box(&values));
        std::hint::black_box(&mut copy);
        Ok(())
    })?;
    Ok(running - copying)
}

/// Times the plan at all published sizes.
pub(super) fn all_sizes() -> Result<Vec<SizeSpeed>> {
    let mut sizes = Vec::new();
    for width in [1.0, 0.75, 0.5, 0.25] {
        let config = MobileNetV1Config {
            num_classes: Some(1001),
            ..MobileNetV1Config::with_width(width)
        };
        let weights = PlanWeights::new(&config, &random_parameters(&config, 0)?)?;
        for resolution in [224, 192, 160, 128] {
            let options = PlanOptions::new([resolution; 2], 1);
            let mut plan = InferencePlan::new(&weights, &options)?;
            let image = image(resolution);
            let mut logits = vec![0.0; plan.output_len()];
            let min_ms = min_ms(100, || plan.run(&image, &mut logits))?;
            let multiply_adds = summary(&config, resolution, resolution)?.multiply_adds;
            sizes.push(SizeSpeed {
                width,
                resolution,
                multiply_adds,
                min_ms,
            });
        }
    }
    Ok(sizes)
}

/// A file of tensors.
pub(super) fn save_tensors(
    folder: &Path,
    file: &str,
    tensors: Vec<(String, Tensor)>,
) -> Result<()> {
    let tensors = tensors.into_iter().collect();
    let path = folder.join(format!("{file}.safetensors"));
    Ok(candle_core::safetensors::save(&tensors, path)?)
}

pub(super) fn tensor(values: &[f32], shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::from_slice(values, shape, &Device::Cpu)?)
}

/// One image, NHWC.
fn image(side: usize) -> Vec<f32> {
    pixels(side * side * 3)
}
