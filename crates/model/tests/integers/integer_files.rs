//! Small quantised files, layer by layer, against the bits that LiteRT computes from them:
//! `golden/integer_files.py` writes the files, `golden/integers.py` runs them.

#[allow(unreachable_pub, reason = "shared with other tests")]
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::support::skipped;
use mobilenet_kernels::integer::{
    Arithmetic, IntegerImages, IntegerNetwork, IntegerOperation, IntegerOutput, IntegerProgram,
    IntegerProgramConfig, IntegerType, PackedIntegers, ValueKind,
};
use mobilenet_kernels::simd::IntegerIsa;
use mobilenet_model::MobileNetV1Config;
use mobilenet_model::checkpoint::ReadLimits;
use mobilenet_model::checkpoint::readers::read_integers;
use mobilenet_model::quantized::{RandomWeights, random_integers};
use sha2::{Digest, Sha256};
use zip::ZipArchive;

/// A file of an archive in the folder of golden files.
fn read(archive: &str, name: &str) -> IntegerNetwork {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut archive = ZipArchive::new(File::open(folder.join(archive)).unwrap()).unwrap();
    let mut bytes = Vec::new();
    let mut file = archive.by_name(name).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    read_integers(&bytes, ReadLimits::default()).unwrap()
}

fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Bytes of the formula in `golden/integers.py`.
fn pattern(count: usize) -> Vec<u8> {
    let byte = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8;
    (0..count as u32).map(byte).collect()
}

/// Hashes of the outputs of some layers, for `batch` copies of the pattern.
fn run(
    weights: &Arc<PackedIntegers>,
    layers: &[usize],
    threads: usize,
    batch: usize,
) -> Vec<Vec<String>> {
    let [rows, columns, _] = weights.input_shape();
    let config = IntegerProgramConfig {
        size: [rows, columns],
        outputs: layers.to_vec(),
        threads,
    };
    let mut program = IntegerProgram::new(weights.clone(), &config).unwrap();
    let images = pattern(program.input_len()).repeat(batch);
    let signed: Vec<i8> = images.iter().map(|&byte| byte as i8).collect();
    let numbers: Vec<f32> = images.iter().map(|&b| f32::from(b) / 127.5 - 1.0).collect();
    let images = match weights.input() {
        ValueKind::F32 => IntegerImages::F32(&numbers),
        ValueKind::Quantized(quantized) => match quantized.integer {
            IntegerType::U8 => IntegerImages::U8(&images),
            IntegerType::I8 => IntegerImages::I8(&signed),
        },
    };
    let shapes = program.output_shapes().to_vec();
    let kinds: Vec<ValueKind> = weights.layers().map(|(_, kind)| kind).collect();
    let lens: Vec<usize> = shapes.iter().map(|shape| shape.iter().product()).collect();
    let mut bytes: Vec<Vec<u8>> = lens.iter().map(|len| vec![0; batch * len]).collect();
    let mut integers: Vec<Vec<i8>> = lens.iter().map(|len| vec![0; batch * len]).collect();
    let outputs = bytes.iter_mut().zip(&mut integers).zip(layers);
    let mut outputs: Vec<IntegerOutput<'_>> = outputs
        .map(|((bytes, integers), &layer)| match kinds[layer] {
            ValueKind::Quantized(quantized) if quantized.integer == IntegerType::I8 => {
                IntegerOutput::I8(integers)
            }
            _ => IntegerOutput::U8(bytes),
        })
        .collect();
    program.run(&images, &mut outputs).unwrap();
    let hashes = outputs.iter().zip(&lens).map(|(output, &len)| {
        let bytes: Vec<u8> = match output {
            IntegerOutput::U8(values) => values.to_vec(),
            IntegerOutput::I8(values) => values.iter().map(|&value| value as u8).collect(),
            IntegerOutput::F32(_) => Vec::new(),
        };
        bytes.chunks(len).map(hash).collect()
    });
    hashes.collect()
}

#[test]
fn every_layer_of_every_file_has_litert_s_bits() {
    let mut lines = 0;
    for line in include_str!("../golden/integers.txt").lines() {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap();
        let (archive, name, family) = (word(), word(), word());
        let expected: Vec<&str> = words.collect();
        let arithmetic = match family {
            "reference" => Arithmetic::Reference,
            "xnnpack" => Arithmetic::Xnnpack,
            other => panic!("{other}"),
        };
        for isa in IntegerIsa::ALL {
            if !isa.is_available() {
                skipped(format_args!("this machine has no {isa}"));
                continue;
            }
            let network = read(archive, name);
            let computing: Vec<usize> = (0..network.layers.len())
                .filter(|&layer| {
                    !matches!(
                        network.layers[layer].operation,
                        IntegerOperation::Quantize
                            | IntegerOperation::Dequantize
                            | IntegerOperation::Flatten
                    )
                })
                .collect();
            assert_eq!(computing.len(), expected.len(), "{name}");
            let weights = Arc::new(PackedIntegers::new(network, arithmetic, isa).unwrap());
            for threads in 1..=4 {
                let found = run(&weights, &computing, threads, 1);
                for ((found, expected), layer) in found.iter().zip(&expected).zip(&computing) {
                    assert_eq!(
                        found[0], *expected,
                        "{name} {family} {isa}, {threads} threads, layer {layer}"
                    );
                }
                // Alone, no layer before it is written; batches are divided among the threads.
                let last = computing.len() - 1;
                for found in run(&weights, &computing[last..], threads, 5).concat() {
                    assert_eq!(
                        found, expected[last],
                        "{name} {family} {isa}, {threads} threads"
                    );
                }
            }
        }
        lines += 1;
    }
    assert_eq!(lines, 14);
}

/// Sizes and widths for which no file is there: odd maps, channels around the vector lengths.
#[test]
fn random_networks_have_the_same_bits_on_every_instruction_set() {
    for (width, size, seed) in [(0.25, [65, 97], 1), (0.34, [47, 32], 2), (0.6, [33, 40], 3)] {
        let config = MobileNetV1Config {
            num_classes: Some(37),
            ..MobileNetV1Config::with_width(width)
        };
        let network = random_integers(&config, size, RandomWeights::Uniform, seed).unwrap();
        let last = network.layers.len() - 1;
        for arithmetic in [Arithmetic::Xnnpack, Arithmetic::Reference] {
            let on = |isa: IntegerIsa, threads: usize| {
                let weights = PackedIntegers::new(network.clone(), arithmetic, isa).unwrap();
                run(&Arc::new(weights), &[last, last - 2], threads, 3)
            };
            let expected = on(IntegerIsa::Scalar, 1);
            for isa in IntegerIsa::ALL.into_iter().filter(|isa| isa.is_available()) {
                for threads in [1, 2, 3] {
                    assert_eq!(on(isa, threads), expected, "{width} {isa} {threads}");
                }
            }
        }
    }
}
