//! Quantised files that are wrong on purpose: typed errors, no panic, no large allocation.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use mobilenet_kernels::integer::{
    Arithmetic, IntegerNetwork, IntegerProgram, IntegerProgramConfig, PackedIntegers,
};
use mobilenet_kernels::simd::IntegerIsa;
use mobilenet_model::checkpoint::ReadLimits;
use mobilenet_model::checkpoint::readers::read_integers;
use zip::ZipArchive;

fn file(archive: &str, name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut archive = ZipArchive::new(File::open(folder.join(archive)).unwrap()).unwrap();
    let mut bytes = Vec::new();
    let mut file = archive.by_name(name).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Reads, checks and packs; the error as text.
fn pack(bytes: &[u8]) -> Result<PackedIntegers, String> {
    let network = read_integers(bytes, ReadLimits::default()).map_err(|error| error.to_string())?;
    PackedIntegers::new(network, Arithmetic::Xnnpack, IntegerIsa::Scalar).map_err(|e| e.to_string())
}

/// The error of a file that must be refused.
fn refusal(bytes: &[u8]) -> String {
    // Not `expect_err`, which would print the network.
    match pack(bytes) {
        Ok(_) => panic!("the file was accepted"),
        Err(error) => error,
    }
}

/// Offsets in a FlatBuffer.
struct Offsets<'a>(&'a [u8]);

impl Offsets<'_> {
    fn word(&self, at: usize) -> usize {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap()) as usize
    }

    fn follow(&self, at: usize) -> usize {
        at + self.word(at)
    }

    fn field(&self, table: usize, number: usize) -> Option<usize> {
        let back = self.word(table) as u32 as i32;
        let vtable = (table as i64 - i64::from(back)) as usize;
        let size = usize::from(u16::from_le_bytes([self.0[vtable], self.0[vtable + 1]]));
        let entry = vtable + 4 + 2 * number;
        if entry + 2 > vtable + size {
            return None;
        }
        let offset = u16::from_le_bytes([self.0[entry], self.0[entry + 1]]);
        (offset > 0).then(|| table + usize::from(offset))
    }

    /// The tensors' tables.
    fn tensors(&self) -> Vec<usize> {
        let subgraphs = self.follow(self.field(self.follow(0), 2).unwrap());
        let subgraph = self.follow(subgraphs + 4);
        let tensors = self.follow(self.field(subgraph, 0).unwrap());
        let count = self.word(tensors);
        (0..count)
            .map(|i| self.follow(tensors + 4 + 4 * i))
            .collect()
    }

    /// Vectors of scales and zero points, and the place of the axis, of tensors that have scales.
    fn quantized(&self) -> Vec<Quantized> {
        let tables = self.tensors().into_iter().filter_map(|tensor| {
            let quantization = self.follow(self.field(tensor, 4)?);
            let scales = self.follow(self.field(quantization, 2)?);
            let zero_points = self.follow(self.field(quantization, 3)?);
            Some(Quantized {
                kind: self.0[self.field(tensor, 1)?],
                constant: self.word(self.field(tensor, 2)?) > 0
                    && self
                        .field(self.buffer(self.word(self.field(tensor, 2)?)), 0)
                        .is_some(),
                count: self.word(scales),
                scales,
                zero_points,
                axis: self.field(quantization, 6),
            })
        });
        tables.filter(|quantized| quantized.count > 0).collect()
    }

    fn buffer(&self, index: usize) -> usize {
        let buffers = self.follow(self.field(self.follow(0), 4).unwrap());
        self.follow(buffers + 4 + 4 * index)
    }
}

struct Quantized {
    kind: u8,
    constant: bool,
    count: usize,
    scales: usize,
    zero_points: usize,
    axis: Option<usize>,
}

const INT32: u8 = 2;

/// The files, unharmed.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    [
        ("tflite_files.zip", "int8.tflite"),
        ("integer_files.zip", "unsigned.tflite"),
        ("integer_files.zip", "signed_per_tensor.tflite"),
    ]
    .map(|(archive, name)| (name, file(archive, name)))
    .to_vec()
}

fn with(bytes: &[u8], at: usize, patch: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + patch.len()].copy_from_slice(patch);
    bytes
}

#[test]
fn impossible_scales_are_errors() {
    for (name, bytes) in files() {
        assert!(pack(&bytes).is_ok());
        let mut tried = 0;
        for quantized in Offsets(&bytes).quantized() {
            let last = quantized.scales + 4 * quantized.count;
            for scale in [0.0, -0.1, f32::NAN, f32::INFINITY, 1e38, 1e-40] {
                let broken = with(&bytes, last, &scale.to_le_bytes());
                let error = refusal(&broken);
                assert!(error.contains("scale"), "{name}: {error}");
                tried += 1;
            }
        }
        assert!(tried > 50, "{name}: {tried}");
    }
}

#[test]
fn zero_points_out_of_range_are_errors() {
    for (name, bytes) in files() {
        for quantized in Offsets(&bytes).quantized() {
            if quantized.kind == INT32 {
                continue;
            }
            for zero_point in [300i64, -300, i64::MAX, i64::MIN] {
                let broken = with(&bytes, quantized.zero_points + 4, &zero_point.to_le_bytes());
                let error = refusal(&broken);
                assert!(error.contains("zero point"), "{name}: {error}");
            }
        }
    }
}

#[test]
fn scales_that_do_not_fit_are_errors() {
    for (name, bytes) in files() {
        let (mut counts, mut axes, mut biases) = (0, 0, 0);
        for quantized in Offsets(&bytes).quantized() {
            if quantized.count > 1 {
                let fewer = (quantized.count as u32 - 1).to_le_bytes();
                let error = refusal(&with(&bytes, quantized.scales, &fewer));
                assert!(error.contains("scales"), "{name}: {error}");
                counts += 1;
            }
            if let Some(axis) = quantized.axis.filter(|_| quantized.kind != INT32) {
                for wrong in [1i32, 2, -1, 7, i32::MAX] {
                    let error = refusal(&with(&bytes, axis, &wrong.to_le_bytes()));
                    assert!(
                        error.contains("axis") || error.contains("integral"),
                        "{name}: {error}"
                    );
                    axes += 1;
                }
            }
            if quantized.kind == INT32 && quantized.constant {
                // Far from the input's scale times the weights'.
                let broken = with(&bytes, quantized.scales + 4, &0.5f32.to_le_bytes());
                let error = refusal(&broken);
                assert!(error.contains("bias scale"), "{name}: {error}");
                biases += 1;
            }
        }
        assert!(biases > 5, "{name}");
        if name == "int8.tflite" {
            assert!(counts > 20 && axes > 20, "{counts} {axes}");
        }
    }
}

/// Whatever is changed, the answer is a network or an error.
#[test]
fn changed_bytes_never_cause_a_panic() {
    for (_, bytes) in files() {
        let mut state = 1u64;
        let mut random = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            ((state >> 33) as usize) % below
        };
        let mut networks = 0;
        for _ in 0..1_000 {
            let mut broken = bytes.clone();
            for _ in 0..1 + random(4) {
                let at = random(broken.len());
                broken[at] = random(256) as u8;
            }
            let Ok(network) = read_integers(&broken, ReadLimits::default()) else {
                continue;
            };
            networks += usize::from(runs(network));
        }
        assert!(networks > 0);
    }
}

/// Whether a program can be built.
fn runs(network: IntegerNetwork) -> bool {
    let [rows, columns, _] = network.input_shape;
    let layers = network.layers.len();
    let packed = PackedIntegers::new(network, Arithmetic::Reference, IntegerIsa::Scalar);
    let config = IntegerProgramConfig {
        size: [rows, columns],
        outputs: vec![layers.saturating_sub(1)],
        threads: 1,
    };
    packed.is_ok_and(|packed| IntegerProgram::new(Arc::new(packed), &config).is_ok())
}
