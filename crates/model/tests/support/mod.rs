//! Shared by the tests: the golden files and the tensors that their formula makes from names.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "a module of several test binaries, each of which uses its own part"
)]

pub mod training;

use std::collections::HashMap;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use mobilenet_model::architecture::parameters;
use mobilenet_model::initialize::{Parameters, var_builder};
use mobilenet_model::{Endpoints, MobileNetV1, MobileNetV1Config};
use safetensors::SafeTensors;

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// `golden/formula.py`: values in [-1, 1) from a name.
fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    (1..=count as u64).map(move |i| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}

/// The tensor of that name, as `formula.py` makes it.
pub fn weight(name: &str, shape: &[usize]) -> Tensor {
    let (centre, spread) = if name.ends_with("batch_norm.weight") {
        (1.0, 0.3)
    } else if name.ends_with("batch_norm.bias") {
        (0.3, 0.3)
    } else if name.ends_with("running_mean") {
        (0.0, 0.3)
    } else if name.ends_with("running_var") {
        (1.0, 0.5)
    } else if name.ends_with(".bias") {
        (0.0, 0.1)
    } else if name == "input" {
        (0.0, 1.0)
    } else {
        (
            0.0,
            (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt(),
        )
    };
    let values: Vec<f32> = uniform(name, shape.iter().product())
        .map(|u| (centre + spread * u) as f32)
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub fn weights(config: &MobileNetV1Config) -> Parameters {
    parameters(config)
        .unwrap()
        .into_iter()
        .map(|parameter| {
            let name = parameter.name();
            let tensor = weight(&name, &parameter.shape);
            (name, tensor)
        })
        .collect()
}

pub fn network(config: &MobileNetV1Config) -> MobileNetV1 {
    MobileNetV1::new(config, var_builder(weights(config))).unwrap()
}

/// Two images, NCHW.
pub fn input(height: usize, width: usize) -> Tensor {
    weight("input", &[2, 3, height, width])
}

/// [`input`] of 96 x 96, the second image flatter and brighter: noise alone averages out.
pub fn contrasting_images() -> Tensor {
    let images = input(96, 96);
    let second = ((images.narrow(0, 1, 1).unwrap() / 4.0).unwrap() + 0.5).unwrap();
    Tensor::cat(&[&images.narrow(0, 0, 1).unwrap(), &second], 0).unwrap()
}

/// Golden files that are small only when compressed.
pub struct Archive(zip::ZipArchive<Cursor<Vec<u8>>>);

impl Archive {
    pub fn open(name: &str) -> Self {
        let bytes = std::fs::read(golden(name)).unwrap();
        Self(zip::ZipArchive::new(Cursor::new(bytes)).unwrap())
    }

    pub fn read(&mut self, name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut entry = self.0.by_name(name).unwrap();
        entry.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// As a file whose name tells nothing: formats are recognised by content.
    pub fn extract(&mut self, name: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&self.read(name)).unwrap();
        file
    }
}

/// Outputs that another framework computed.
pub struct Golden {
    tensors: HashMap<String, Vec<f32>>,
    metadata: HashMap<String, String>,
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

    /// What computed the results, with its version.
    pub fn framework(&self) -> &str {
        self.metadata("framework")
    }

    pub fn metadata(&self, key: &str) -> &str {
        &self.metadata[key]
    }

    /// Compares logits and the stored endpoints, all of them.
    pub fn check(&self, logits: &Tensor, endpoints: &Endpoints) {
        let mut compared = 0;
        for (name, expected) in &self.tensors {
            let found = if name == "logits" {
                logits.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            } else {
                let found = endpoints.get(name).unwrap_or_else(|| panic!("no {name}"));
                let shape = found
                    .dims()
                    .iter()
                    .map(usize::to_string)
                    .collect::<Vec<_>>()
                    .join(",");
                assert_eq!(shape, self.metadata[&format!("shape.{name}")], "{name}");
                let step: usize = self.metadata[&format!("step.{name}")].parse().unwrap();
                let all = found.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                all.into_iter().step_by(step).collect()
            };
            let error = relative_error(&found, expected);
            println!("{name}: {error:.1e} against {}", self.metadata["framework"]);
            assert!(error <= 1e-4, "{name}: max relative error {error:e}");
            compared += 1;
        }
        assert_eq!(compared, 6);
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
