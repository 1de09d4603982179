//! Writes files of integers that `golden/integer_export.py` runs in LiteRT and ONNX Runtime.

use std::path::Path;
use std::sync::Arc;

use crate::small_networks::integer_networks;
use mobilenet_kernels::integer::{IntegerProgram, IntegerProgramConfig, PackedIntegers};
use mobilenet_kernels::simd::Isa;
use mobilenet_model::checkpoint::{save_integer_onnx, save_integer_tflite};
use mobilenet_model::quantized::{
    Arithmetic, IntegerImages, IntegerNetwork, IntegerOutput, IntegerType, ValueKind,
};

/// Writes files that `golden/integer_export.py` runs in LiteRT and ONNX Runtime, and what each layer
/// makes of an image.
#[test]
#[ignore = "writes files for a Python script"]
fn files_for_other_engines() {
    let folder = tempfile::tempdir().unwrap().keep();
    for (name, network, metadata) in integer_networks() {
        let path = |ending: &str| folder.join(format!("{name}.{ending}"));
        save_integer_tflite(&path("tflite"), &network, &metadata).unwrap();
        if name != "fully_connected" {
            save_integer_onnx(&path("onnx"), &network, &metadata).unwrap();
        }
        write_layers(&folder, name, network);
    }
    println!("{}", folder.display());
}

/// `NAME.image` and, for each layer, `NAME.layer.LAYER`: bytes, in the layer's own type.
fn write_layers(folder: &Path, name: &str, network: IntegerNetwork) {
    let [rows, columns, channels] = network.input_shape;
    let pixels = rows * columns * channels;
    let noise = |index: usize| (index.wrapping_mul(2_654_435_761) >> 24) as u8;
    let bytes: Vec<u8> = (0..pixels).map(noise).collect();
    let signed: Vec<i8> = bytes.iter().map(|&byte| (byte ^ 0x80) as i8).collect();
    let numbers: Vec<f32> = bytes
        .iter()
        .map(|&byte| f32::from(byte) / 60.0 - 2.1)
        .collect();
    let image = match network.input {
        ValueKind::F32 => IntegerImages::F32(&numbers),
        ValueKind::Quantized(quantized) => match quantized.integer {
            IntegerType::U8 => IntegerImages::U8(&bytes),
            IntegerType::I8 => IntegerImages::I8(&signed),
        },
    };
    let raw: Vec<u8> = match network.input {
        ValueKind::F32 => numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect(),
        ValueKind::Quantized(quantized) => match quantized.integer {
            IntegerType::U8 => bytes.clone(),
            IntegerType::I8 => signed.iter().map(|&value| value as u8).collect(),
        },
    };
    std::fs::write(folder.join(format!("{name}.image")), raw).unwrap();
    let layers = network.layers.clone();
    for arithmetic in [Arithmetic::Xnnpack, Arithmetic::Reference] {
        let packed = PackedIntegers::new(network.clone(), arithmetic, Isa::best().unwrap());
        let packed = Arc::new(packed.unwrap());
        for (index, layer) in layers.iter().enumerate() {
            let config = IntegerProgramConfig {
                size: [rows, columns],
                outputs: vec![index],
                threads: 1,
            };
            let mut program = IntegerProgram::new(packed.clone(), &config).unwrap();
            let count = program.output_shapes()[0].iter().product();
            let raw: Vec<u8> = match layer.output {
                ValueKind::F32 => {
                    let mut output = vec![0f32; count];
                    program
                        .run(&image, &mut [IntegerOutput::F32(&mut output)])
                        .unwrap();
                    output
                        .iter()
                        .flat_map(|number| number.to_le_bytes())
                        .collect()
                }
                ValueKind::Quantized(quantized) => match quantized.integer {
                    IntegerType::U8 => {
                        let mut output = vec![0u8; count];
                        program
                            .run(&image, &mut [IntegerOutput::U8(&mut output)])
                            .unwrap();
                        output
                    }
                    IntegerType::I8 => {
                        let mut output = vec![0i8; count];
                        program
                            .run(&image, &mut [IntegerOutput::I8(&mut output)])
                            .unwrap();
                        output.iter().map(|&value| value as u8).collect()
                    }
                },
            };
            let file = format!("{name}.{arithmetic:?}.{}", layer.name);
            std::fs::write(folder.join(file), raw).unwrap();
        }
    }
}
