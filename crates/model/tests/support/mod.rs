//! Golden files, and tensors that their formula computes from names. Shared by the tests.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "a module of several test binaries, each of which uses its own part"
)]

mod endpoints;
pub mod formula;
pub mod golden;
mod skipped;
pub mod training;

use std::io::{Cursor, Read, Write};

use candle_core::Tensor;
use mobilenet_model::candle::var_builder;
use mobilenet_model::{MobileNetV1, MobileNetV1Config};

pub use formula::{array, weights};
pub use golden::{Golden, golden, relative_error};
pub use skipped::skipped;

pub fn network(config: &MobileNetV1Config) -> MobileNetV1 {
    MobileNetV1::new(config, var_builder(weights(config)).unwrap()).unwrap()
}

/// The tensor that `formula.py` computes from a name.
pub fn weight(name: &str, shape: &[usize]) -> Tensor {
    array(name, shape).try_into().unwrap()
}

/// Two images, NCHW.
pub fn input(height: usize, width: usize) -> Tensor {
    weight("input", &[2, 3, height, width])
}

/// [`input`] of 96 x 96. The second image has less contrast and is brighter, because noise alone
/// averages out.
pub fn contrasting_images() -> Tensor {
    let images = input(96, 96);
    let second = ((images.narrow(0, 1, 1).unwrap() / 4.0).unwrap() + 0.5).unwrap();
    Tensor::cat(&[&images.narrow(0, 0, 1).unwrap(), &second], 0).unwrap()
}

/// An archive of golden files that are small only when compressed.
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

    /// Extracts a file under a name without meaning, because formats are recognised by content.
    pub fn extract(&mut self, name: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&self.read(name)).unwrap();
        file
    }
}
