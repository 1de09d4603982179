//! Quantised files in integers, against LiteRT's own bits.
//!
//! The hashes are those of LiteRT 2.3.0 on x86, from the shared reference on quantisation, section
//! 4: SHA-256 of the output's bytes (its first 16 hexadecimal digits), once by the reference
//! kernels and once by the default interpreter.

use std::path::{Path, PathBuf};

use crate::support::skipped;
use mobilenet_kernels::simd::IntegerIsa;
use mobilenet_model::checkpoint::{ReadLimits, load_integers};
use mobilenet_model::preprocess::{DecodeLimits, open};
use mobilenet_model::quantized::{
    Arithmetic, IntegerImages, IntegerNetwork, IntegerOutput, IntegerPlan, IntegerPlanOptions,
    IntegerPlanOutput, IntegerType, QuantizedWeights, ValueKind,
};
use sha2::{Digest, Sha256};

const SMALL: &str = "mobilenet_v1_0.25_128_quant.tflite";
const LARGE: &str = "mobilenet_v1_0.75_192_quant.tflite";
const WAKE_WORDS: &str = "vww_96_int8.tflite";

/// Model, image, hash of the input (8 digits), hash by the reference kernels, and by XNNPACK.
const OUTPUTS: [(&str, &str, &str, &str, &str); 10] = [
    (
        SMALL,
        "pattern",
        "ba558089",
        "e3689f2b499541e3",
        "2989830236c170c0",
    ),
    (
        SMALL,
        "bird",
        "b6400356",
        "e81baf860dedd54d",
        "c4b44a58b794eace",
    ),
    (
        SMALL,
        "cat",
        "6f7d0f05",
        "ed7b3432ea424a01",
        "ed7b3432ea424a01",
    ),
    (
        SMALL,
        "grace_hopper",
        "2bc387d9",
        "ae3f64b04e3e6a14",
        "a1783cd760bcaadf",
    ),
    (
        LARGE,
        "pattern",
        "27553ca5",
        "0a9856271bbeb5b9",
        "af39cd3f967ef0b7",
    ),
    (
        LARGE,
        "bird",
        "a0f4cd94",
        "386117f731b769c8",
        "386117f731b769c8",
    ),
    (
        LARGE,
        "cat",
        "609e7182",
        "44b071dd34023396",
        "c2fab0c776361f78",
    ),
    (
        WAKE_WORDS,
        "pattern",
        "c6547dbc",
        "29aa0a9061563b8e",
        "29aa0a9061563b8e",
    ),
    (
        WAKE_WORDS,
        "cat",
        "cdcd946b",
        "29aa0a9061563b8e",
        "29aa0a9061563b8e",
    ),
    (
        WAKE_WORDS,
        "bird",
        "0722c819",
        "b94cf62fe382efc1",
        "22d9254fc63e58a1",
    ),
];

/// Every layer of the small model on the bird, in the file's order, 6 digits each. The reshape
/// before the softmax, which repeats the logits, is left out.
const LAYERS: [(Arithmetic, &str); 2] = [
    (
        Arithmetic::Reference,
        "8a28e9 b1b5e2 c79ef2 ed351b b4913b 473708 700d93 cc9314 6346a1 45521c 1e2e69 9e6ca6 \
         fe6313 e8e41d c5013c e17fda 956990 b8d7e7 70c42c cfc052 1331d1 ce5270 394224 c896dc \
         61afc0 d54d74 c4e8a1 7218b1 95a0f0 e81baf",
    ),
    (
        Arithmetic::Xnnpack,
        "df17d5 c54c52 bbaf70 f7f8c4 d0310e ca3076 851ebe 6a7ce8 b521cd 7194e8 a6e422 b7ca62 \
         58ac6d ff87bb 29ee7e d6b587 a4dfdd bd8d86 8a79e4 c4b7a6 6b908c aae343 49cee9 ce6201 \
         ccd986 9da592 d85ec1 8f4e21 ec1303 c4b44a",
    ),
];

/// The folder of published files. Without it the tests are skipped.
fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !folder.is_dir() {
        skipped(format_args!("there is no {}", folder.display()));
        return None;
    }
    Some(folder)
}

fn network(data: &Path, name: &str) -> IntegerNetwork {
    load_integers(&data.join("models").join(name), ReadLimits::default()).unwrap()
}

/// A formula's bytes, or the centre of a photo.
fn pixels(data: &Path, name: &str, side: usize) -> Vec<u8> {
    if name == "pattern" {
        let byte = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8;
        return (0..3 * side as u32 * side as u32).map(byte).collect();
    }
    let path = data.join("photos").join(name).with_extension("bmp");
    let photo = open(&path, DecodeLimits::default()).unwrap();
    let side = side as u32;
    let (top, left) = ((photo.height() - side) / 2, (photo.width() - side) / 2);
    let pixels = (0..side * side).map(|i| photo.get_pixel(left + i % side, top + i / side).0);
    pixels.flatten().collect()
}

fn hash(bytes: &[u8], digits: usize) -> String {
    let digest = Sha256::digest(bytes);
    let text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    text[..digits].to_string()
}

fn integer(kind: ValueKind) -> IntegerType {
    match kind {
        ValueKind::Quantized(quantized) => quantized.integer,
        ValueKind::F32 => panic!("numbers, not integers"),
    }
}

/// The bytes of a plan's output. `images` are bytes of the network's own integers.
fn run(plan: &mut IntegerPlan, weights: &QuantizedWeights, images: &[u8]) -> Vec<u8> {
    let batch = images.len() / plan.input_len();
    let mut unsigned = vec![0u8; batch * plan.output_len()];
    let mut signed = vec![0i8; unsigned.len()];
    let signed_images: Vec<i8> = images.iter().map(|&byte| byte as i8).collect();
    let images = match integer(weights.input()) {
        IntegerType::U8 => IntegerImages::U8(images),
        IntegerType::I8 => IntegerImages::I8(&signed_images),
    };
    match integer(plan.output()) {
        IntegerType::U8 => {
            plan.run(&images, IntegerOutput::U8(&mut unsigned)).unwrap();
            unsigned
        }
        IntegerType::I8 => {
            plan.run(&images, IntegerOutput::I8(&mut signed)).unwrap();
            signed.iter().map(|&value| value as u8).collect()
        }
    }
}

/// A network's own input: bytes, or bytes minus 128.
fn input(data: &Path, image: &str, weights: &QuantizedWeights) -> Vec<u8> {
    let mut bytes = pixels(data, image, weights.input_shape()[0]);
    if integer(weights.input()) == IntegerType::I8 {
        bytes.iter_mut().for_each(|byte| *byte ^= 0x80);
    }
    bytes
}

/// The instruction sets of this machine. The others are reported.
fn instruction_sets() -> Vec<IntegerIsa> {
    let (there, missing): (Vec<IntegerIsa>, Vec<IntegerIsa>) = IntegerIsa::ALL
        .into_iter()
        .partition(|isa| isa.is_available());
    for isa in missing {
        skipped(format_args!("this machine has no {isa}"));
    }
    there
}

#[test]
fn outputs_have_litert_s_bits() {
    let Some(data) = data() else { return };
    for isa in instruction_sets() {
        for model in [SMALL, LARGE, WAKE_WORDS] {
            for arithmetic in [Arithmetic::Reference, Arithmetic::Xnnpack] {
                let network = network(&data, model);
                let weights = QuantizedWeights::for_isa(isa, network, arithmetic).unwrap();
                let options = IntegerPlanOptions::new(&weights, 1);
                let mut plan = IntegerPlan::new(&weights, &options).unwrap();
                for (_, image, of_input, reference, xnnpack) in
                    OUTPUTS.into_iter().filter(|row| row.0 == model)
                {
                    let images = input(&data, image, &weights);
                    assert_eq!(hash(&images, 8), of_input, "{model} {image}");
                    let expected = match arithmetic == Arithmetic::Reference {
                        true => reference,
                        false => xnnpack,
                    };
                    let found = hash(&run(&mut plan, &weights, &images), 16);
                    assert_eq!(found, expected, "{isa}: {model} {image} {arithmetic:?}");
                }
            }
        }
    }
}

#[test]
fn every_layer_has_litert_s_bits() {
    let Some(data) = data() else { return };
    for isa in instruction_sets() {
        for (arithmetic, expected) in LAYERS {
            let weights =
                QuantizedWeights::for_isa(isa, network(&data, SMALL), arithmetic).unwrap();
            let images = input(&data, "bird", &weights);
            let names: Vec<&str> = weights.endpoints().collect();
            let expected: Vec<&str> = expected.split_whitespace().collect();
            assert_eq!(names.len(), expected.len());
            let mut found = Vec::new();
            for name in &names {
                let options = IntegerPlanOptions {
                    output: IntegerPlanOutput::Endpoint(name.to_string()),
                    ..IntegerPlanOptions::new(&weights, 1)
                };
                let mut plan = IntegerPlan::new(&weights, &options).unwrap();
                found.push(hash(&run(&mut plan, &weights, &images), 6));
            }
            for ((name, found), expected) in names.iter().zip(&found).zip(expected) {
                assert_eq!(found, expected, "{isa} {arithmetic:?}: {name}");
            }
        }
    }
}

#[test]
fn threads_and_batches_change_no_bit() {
    let Some(data) = data() else { return };
    for isa in instruction_sets() {
        for (model, images) in [
            (SMALL, ["bird", "cat", "pattern", "grace_hopper", "cat"]),
            (
                WAKE_WORDS,
                ["bird", "cat", "pattern", "grace_hopper", "bird"],
            ),
        ] {
            let weights =
                QuantizedWeights::for_isa(isa, network(&data, model), Arithmetic::Xnnpack).unwrap();
            let inputs = images.map(|image| input(&data, image, &weights));
            let options = |threads| IntegerPlanOptions::new(&weights, threads);
            let mut plan = IntegerPlan::new(&weights, &options(1)).unwrap();
            let each: Vec<u8> = inputs
                .iter()
                .flat_map(|image| run(&mut plan, &weights, image))
                .collect();
            for threads in 1..=4 {
                let mut plan = IntegerPlan::new(&weights, &options(threads)).unwrap();
                let together = run(&mut plan, &weights, &inputs.concat());
                assert!(together == each, "{isa}: {model} on {threads} threads");
            }
        }
    }
}
