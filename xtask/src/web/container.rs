//! The file of weights: safetensors whose tensors are in the order of the layers, so that a browser
//! can use each layer when it comes. (The format's own crate would sort them.)

use anyhow::{Result, bail};
use half::f16;
use mobilenet::kernels::integer::{Integers, QuantizedConvolution};
use serde_json::{Map, Value, json};
use xtask::WebType;

/// Tensors, one after another.
#[derive(Default)]
pub(super) struct Container {
    entries: Map<String, Value>,
    data: Vec<u8>,
}

impl Container {
    /// Adds a tensor of layer `layer`.
    pub(super) fn add(
        &mut self,
        layer: usize,
        part: &str,
        dtype: &str,
        shape: &[usize],
        bytes: &[u8],
    ) {
        let start = self.data.len();
        self.data.extend_from_slice(bytes);
        let entry = json!({
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [start, self.data.len()],
        });
        self.entries.insert(format!("{layer:03}.{part}"), entry);
    }

    /// Adds a layer's biases, scales and weights, `[out, ...]`.
    pub(super) fn add_floats(
        &mut self,
        layer: usize,
        dtype: WebType,
        shape: &[usize],
        weights: &[f32],
        bias: &[f32],
    ) -> Result<()> {
        if weights.iter().chain(bias).any(|value| !value.is_finite()) {
            bail!("a weight of layer {layer} is no finite number");
        }
        self.add(
            layer,
            "bias",
            "F32",
            &[bias.len()],
            &le(bias, f32::to_le_bytes),
        );
        match dtype {
            WebType::F32 => self.add(
                layer,
                "weight",
                "F32",
                shape,
                &le(weights, f32::to_le_bytes),
            ),
            WebType::F16 => {
                let halves: Vec<f16> = weights
                    .iter()
                    .map(|&weight| f16::from_f32(weight))
                    .collect();
                if halves.iter().any(|half| !half.is_finite()) {
                    bail!("a weight of layer {layer} is beyond the range of f16");
                }
                self.add(
                    layer,
                    "weight",
                    "F16",
                    shape,
                    &le(&halves, f16::to_le_bytes),
                );
            }
            WebType::Int8 => {
                let depth = weights.len() / bias.len().max(1);
                let (mut scales, mut steps) = (Vec::new(), Vec::new());
                for channel in weights.chunks(depth.max(1)) {
                    let largest = channel
                        .iter()
                        .fold(0f32, |most, weight| most.max(weight.abs()));
                    let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
                    scales.push(scale);
                    steps.extend(
                        channel
                            .iter()
                            .map(|weight| (weight / scale).round_ties_even() as i8 as u8),
                    );
                }
                self.add(
                    layer,
                    "scale",
                    "F32",
                    &[scales.len()],
                    &le(&scales, f32::to_le_bytes),
                );
                self.add(layer, "weight", "I8", shape, &steps);
            }
        }
        Ok(())
    }

    /// Adds a convolution's biases, scales, zero points and weights.
    pub(super) fn add_integers(&mut self, index: usize, convolution: &QuantizedConvolution) {
        let weights = &convolution.weights;
        let (bias, scales) = (&convolution.bias, &weights.scales);
        self.add(
            index,
            "bias",
            "I32",
            &[bias.len()],
            &le(bias, i32::to_le_bytes),
        );
        self.add(
            index,
            "scale",
            "F32",
            &[scales.len()],
            &le(scales, f32::to_le_bytes),
        );
        let zero_points = le(&weights.zero_points, i32::to_le_bytes);
        self.add(index, "zero_point", "I32", &[scales.len()], &zero_points);
        let (dtype, bytes): (&str, Vec<u8>) = match &weights.values {
            Integers::U8(values) => ("U8", values.clone()),
            Integers::I8(values) => ("I8", values.iter().map(|&value| value as u8).collect()),
        };
        self.add(index, "weight", dtype, &[bytes.len()], &bytes);
    }

    /// The file, whose header says this about the network.
    pub(super) fn into_bytes(mut self, about: &Value) -> Result<Vec<u8>> {
        let metadata = json!({ "mobilenet_web": about.to_string() });
        self.entries.insert("__metadata__".to_string(), metadata);
        let mut header = serde_json::to_vec(&Value::Object(self.entries))?;
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend(self.data);
        Ok(bytes)
    }
}

/// Little-endian bytes of numbers.
pub(super) fn le<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&value| bytes(value)).collect()
}
