//! The file of weights: safetensors whose tensors are in the order of the layers, so that a browser
//! can use each layer when it comes. (The format's own crate would sort them.)

use anyhow::Result;
use mobilenet::kernels::integer::{Integers, QuantizedConvolution};
use serde_json::{Map, Value, json};

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
