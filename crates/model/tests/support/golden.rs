//! The golden files, for the tests of this crate and of other crates.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../model/tests/golden")
        .join(name)
}

/// Outputs that another framework computed.
pub struct Golden {
    pub tensors: HashMap<String, Vec<f32>>,
    pub metadata: HashMap<String, String>,
}

impl Golden {
    pub fn open(name: &str) -> Self {
        let bytes = std::fs::read(golden(name)).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let floats = |data: &[u8]| {
            let (chunks, []) = data.as_chunks::<4>() else {
                panic!("not f32")
            };
            chunks
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect()
        };
        Self {
            tensors: file
                .iter()
                .map(|(name, view)| (name.to_string(), floats(view.data())))
                .collect(),
            metadata: header.metadata().clone().unwrap(),
        }
    }

    pub fn tensor(&self, name: &str) -> &[f32] {
        let tensor = self.tensors.get(name);
        tensor.unwrap_or_else(|| panic!("no {name}"))
    }

    /// The framework that computed the results, with its version.
    pub fn framework(&self) -> &str {
        self.metadata("framework")
    }

    pub fn metadata(&self, key: &str) -> &str {
        &self.metadata[key]
    }
}

/// Largest difference, relative to the largest expected value.
pub fn relative_error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0f32, |max, x| max.max(x.abs()));
    let error = found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0f32, |max, x| {
            if x.is_nan() {
                f32::INFINITY
            } else {
                max.max(x)
            }
        });
    error / scale
}
