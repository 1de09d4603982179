//! Convolutions of integers, on every instruction set of the machine, against naive sums: any
//! window, channel counts around the vector lengths, weights that fill 9 bits, and depthwise and
//! pointwise layers that are computed together.

use std::sync::Arc;

use mobilenet_kernels::integer::{
    Arithmetic, IntegerImages, IntegerLayer, IntegerNetwork, IntegerOperation, IntegerOutput,
    IntegerProgram, IntegerProgramConfig, IntegerType, Integers, PackedIntegers, Quantized,
    QuantizedConvolution, QuantizedWeights, ValueKind,
};
use mobilenet_kernels::simd::IntegerIsa;
use mobilenet_kernels::{Activation, ConvGeometry, ConvKind, ConvSize, Padding};
use proptest::prelude::*;

use crate::random::{cases, values};
use crate::windows::{channel_counts, sizes};

/// The window of a size.
fn geometry(size: &ConvSize) -> ConvGeometry {
    ConvGeometry {
        kernel: [size.rows.kernel, size.columns.kernel],
        stride: size.rows.stride,
        dilation: size.rows.dilation,
        padding: Padding::Explicit {
            top: size.rows.before,
            bottom: size.rows.after(),
            left: size.columns.before,
            right: size.columns.after(),
        },
    }
}

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    // The ends of the range often, where sums are largest.
    let byte = |value: f32| (value * 150.0 + 128.0).clamp(0.0, 255.0) as u8;
    values(seed, len).into_iter().map(byte).collect()
}

/// A convolution of `each` weights a channel: unsigned with one scale and an extreme zero point, or
/// signed with a scale for each channel.
fn convolution(
    kind: ConvKind,
    geometry: ConvGeometry,
    [out_channels, each]: [usize; 2],
    integer: IntegerType,
    seed: u64,
) -> QuantizedConvolution {
    let weights = bytes(seed, out_channels * each);
    let scale = |value: &f32| (1.5 + value) * 0.3 / (each as f32 * 16.0);
    let weights = match integer {
        IntegerType::U8 => QuantizedWeights {
            values: Integers::U8(weights),
            scales: vec![scale(&0.0)],
            zero_points: vec![[0, 3, 120, 255][(seed % 4) as usize]],
        },
        IntegerType::I8 => QuantizedWeights {
            values: Integers::I8(weights.iter().map(|&byte| byte as i8).collect()),
            scales: values(seed ^ 5, out_channels).iter().map(scale).collect(),
            zero_points: vec![0; out_channels],
        },
    };
    let bias = values(seed ^ 9, out_channels).into_iter();
    QuantizedConvolution {
        kind,
        geometry,
        out_channels,
        weights,
        bias: bias.map(|bias| (bias * 3000.0) as i32).collect(),
        activation: Activation::Identity,
        fully_connected: false,
    }
}

/// What XNNPACK computes: sums times an f32, rounded to even. Numbers are `[rows, columns, channels]`.
fn naive(
    convolution: &QuantizedConvolution,
    size: &ConvSize,
    [input, output]: [Quantized; 2],
    numbers: &[i32],
) -> Vec<i32> {
    let QuantizedConvolution {
        weights,
        out_channels: outputs,
        ..
    } = convolution;
    let channels = numbers.len() / (size.rows.input * size.columns.input);
    let mut results = Vec::new();
    for y in 0..size.rows.output {
        for x in 0..size.columns.output {
            for channel in 0..*outputs {
                let mut sum = convolution.bias[channel];
                for row in 0..size.rows.kernel {
                    for column in 0..size.columns.kernel {
                        let place = (size.rows.source(y, row), size.columns.source(x, column));
                        let (Some(from_y), Some(from_x)) = place else {
                            continue;
                        };
                        let tap = row * size.columns.kernel + column;
                        let pixel = (from_y * size.columns.input + from_x) * channels;
                        let mut add = |weight: usize, from: usize| {
                            let weight = weights.values.get(weight).unwrap();
                            let weight = weight - weights.zero_point(channel);
                            sum += weight * (numbers[pixel + from] - input.zero_point);
                        };
                        match convolution.kind {
                            ConvKind::Depthwise => {
                                add(tap * outputs + channel, channel * channels / outputs);
                            }
                            ConvKind::Conv => {
                                let taps = size.rows.kernel * size.columns.kernel;
                                for from in 0..channels {
                                    add((channel * taps + tap) * channels + from, from);
                                }
                            }
                        }
                    }
                }
                let factor = input.scale * weights.scale(channel) / output.scale;
                let steps = (sum as f32 * factor).round_ties_even() as i32;
                let (least, most) = (output.integer.min(), output.integer.max());
                results.push((steps + output.zero_point).clamp(least, most));
            }
        }
    }
    results
}

fn quantized(integer: IntegerType, zero_point: i32) -> Quantized {
    Quantized {
        integer,
        scale: 0.05,
        zero_point: zero_point + integer.min(),
    }
}

/// A layer's integers, on an instruction set.
fn run(
    network: &IntegerNetwork,
    layer: usize,
    isa: IntegerIsa,
    threads: usize,
    images: &IntegerImages<'_>,
) -> Vec<i32> {
    let packed = PackedIntegers::new(network.clone(), Arithmetic::Xnnpack, isa).unwrap();
    let [rows, columns, _] = network.input_shape;
    let config = IntegerProgramConfig {
        size: [rows, columns],
        outputs: vec![layer],
        threads,
    };
    let mut program = IntegerProgram::new(Arc::new(packed), &config).unwrap();
    let count = program.output_shapes()[0].iter().product();
    if matches!(network.input, ValueKind::Quantized(q) if q.integer == IntegerType::U8) {
        let mut output = vec![0u8; count];
        let mut outputs = [IntegerOutput::U8(&mut output)];
        program.run(images, &mut outputs).unwrap();
        output.into_iter().map(i32::from).collect()
    } else {
        let mut output = vec![0i8; count];
        let mut outputs = [IntegerOutput::I8(&mut output)];
        program.run(images, &mut outputs).unwrap();
        output.into_iter().map(i32::from).collect()
    }
}

/// Compares layers in a chain, each of which reads the one before: their own outputs, or the last
/// one's only. Returns the network.
fn check(
    layers: Vec<(QuantizedConvolution, ConvSize)>,
    channels: usize,
    meanings: &[Quantized],
    seed: u64,
    all: bool,
) -> Result<IntegerNetwork, TestCaseError> {
    let (_, first) = &layers[0];
    let shape = [first.rows.input, first.columns.input, channels];
    let offset = meanings[0].integer.min();
    let image = bytes(seed ^ 77, shape.iter().product());
    let image: Vec<i32> = image.into_iter().map(|b| i32::from(b) + offset).collect();
    let mut expected = vec![image.clone()];
    for ((convolution, size), pair) in layers.iter().zip(meanings.windows(2)) {
        let input = expected.last().unwrap();
        expected.push(naive(convolution, size, [pair[0], pair[1]], input));
    }
    let layers = layers.into_iter().zip(&meanings[1..]);
    let network = IntegerNetwork {
        input_shape: shape,
        input: ValueKind::Quantized(meanings[0]),
        layers: layers
            .map(|((convolution, _), output)| IntegerLayer {
                name: "layer".to_string(),
                operation: IntegerOperation::Convolution(convolution),
                output: ValueKind::Quantized(*output),
            })
            .collect(),
    };
    let unsigned: Vec<u8> = image.iter().map(|&value| value as u8).collect();
    let signed: Vec<i8> = image.iter().map(|&value| value as i8).collect();
    let images = match meanings[0].integer {
        IntegerType::U8 => IntegerImages::U8(&unsigned),
        IntegerType::I8 => IntegerImages::I8(&signed),
    };
    for isa in IntegerIsa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for threads in [1, 3] {
            let last = network.layers.len() - 1;
            for layer in if all { 0 } else { last }..=last {
                let found = run(&network, layer, isa, threads, &images);
                prop_assert_eq!(
                    &found,
                    &expected[layer + 1],
                    "{} {}, {}",
                    isa,
                    threads,
                    layer
                );
            }
        }
    }
    Ok(network)
}

fn types() -> impl Strategy<Value = IntegerType> {
    prop_oneof![Just(IntegerType::U8), Just(IntegerType::I8)]
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn conv_equals_naive_sums(
        size in sizes(), i in 1usize..=5, o in channel_counts(), integer in types(),
        zero in 0..256, seed: u64,
    ) {
        let each = size.rows.kernel * size.columns.kernel * i;
        let conv = convolution(ConvKind::Conv, geometry(&size), [o, each], integer, seed);
        let meanings = [quantized(integer, zero), quantized(integer, 100)];
        check(vec![(conv, size)], i, &meanings, seed, false)?;
    }

    #[test]
    fn depthwise_equals_naive_sums(
        size in sizes(), c in channel_counts(), m in 1usize..=3, integer in types(),
        zero in 0..256, seed: u64,
    ) {
        let each = size.rows.kernel * size.columns.kernel;
        let conv = convolution(ConvKind::Depthwise, geometry(&size), [c * m, each], integer, seed);
        let meanings = [quantized(integer, zero), quantized(integer, 100)];
        check(vec![(conv, size)], c, &meanings, seed, false)?;
    }

    /// Channels of several vectors of bytes, and of less than one; rows that are longer than a kernel's
    /// block of pixels.
    #[test]
    fn wide_depthwise_equals_naive_sums(
        channels in prop::sample::select(vec![16, 40, 48, 64, 65, 100, 130]), stride in 1usize..=2,
        height in 1usize..=3, width in 1usize..=70, integer in types(), zero in 0..256, seed: u64,
    ) {
        let geometry = ConvGeometry {
            kernel: [3, 3],
            stride,
            dilation: 1,
            padding: Padding::Same,
        };
        let size = geometry.resolve(1, height, width).unwrap();
        let conv = convolution(ConvKind::Depthwise, geometry, [channels, 9], integer, seed);
        let meanings = [quantized(integer, zero), quantized(integer, 100)];
        check(vec![(conv, size)], channels, &meanings, seed, false)?;
    }

    /// The depthwise layer's output is kept as left operands only.
    #[test]
    fn separable_equals_naive_sums(
        size in sizes(), c in channel_counts(), o in channel_counts(), integer in types(),
        zero in 0..256, seed: u64,
    ) {
        let each = size.rows.kernel * size.columns.kernel;
        let depthwise = convolution(ConvKind::Depthwise, geometry(&size), [c, each], integer, seed);
        let pointwise =
            convolution(ConvKind::Conv, ConvGeometry::POINTWISE, [o, c], integer, seed ^ 3);
        let map = ConvGeometry::POINTWISE
            .resolve(1, size.rows.output, size.columns.output)
            .unwrap();
        let middle = quantized(integer, zero);
        let meanings = [quantized(integer, 128), middle, quantized(integer, 100)];
        check(vec![(depthwise, size), (pointwise, map)], c, &meanings, seed, false)?;
    }

    /// Some channels of the first layer are always the zero point, others another constant.
    #[test]
    fn constants_are_left_out(
        size in sizes(), i in 1usize..=5, c in channel_counts(), o in channel_counts(),
        integer in types(), zero in 0..256, seed: u64,
    ) {
        let point = ConvGeometry::POINTWISE;
        let mut first = convolution(ConvKind::Conv, point, [c, i], integer, seed);
        let mut constants = 0;
        for channel in 0..c {
            let kind = (seed >> (channel % 31)) & 3;
            if kind > 1 {
                continue;
            }
            for index in channel * i..(channel + 1) * i {
                let zero_point = first.weights.zero_point(channel);
                match &mut first.weights.values {
                    Integers::U8(values) => values[index] = zero_point as u8,
                    Integers::I8(values) => values[index] = zero_point as i8,
                }
            }
            first.bias[channel] = if kind == 0 { 0 } else { 1_000_000 };
            constants += usize::from(kind == 0);
        }
        let each = size.rows.kernel * size.columns.kernel;
        let depthwise =
            convolution(ConvKind::Depthwise, geometry(&size), [c, each], integer, seed ^ 1);
        let pointwise = convolution(ConvKind::Conv, point, [o, c], integer, seed ^ 3);
        let maps = [[size.rows.input, size.columns.input], [size.rows.output, size.columns.output]];
        let [before, after] = maps.map(|[rows, columns]| point.resolve(1, rows, columns).unwrap());
        // The type's end cannot be both its zero point and another constant.
        let middle = quantized(integer, i32::min(zero, 254));
        let meanings = [
            quantized(integer, 128), middle, quantized(integer, 90), quantized(integer, 100),
        ];
        let layers = vec![(first, before), (depthwise, size), (pointwise, after)];
        let network = check(layers, i, &meanings, seed, true)?;
        let isa = IntegerIsa::best().unwrap();
        let packed = PackedIntegers::new(network, Arithmetic::Xnnpack, isa).unwrap();
        let found: Vec<usize> = packed.constant_channels().collect();
        // One channel stays. Small random weights may make a few more constants.
        prop_assert!(found[0] >= constants.min(c - 1) && found[0] < c, "{:?}", found);
        prop_assert_eq!(&found[1..], &[found[0], 0]);
    }
}

/// Numbers of any kind become the integers that the definition gives: ties go to the even one, what is
/// not a number to the zero point.
#[test]
fn numbers_become_integers() {
    const SPECIAL: [f32; 8] = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN,
        -0.0,
        1e-40,
        1e20,
    ];
    // Scales whose quotients are exact, and one whose are not.
    for (integer, scale) in [
        (IntegerType::U8, 0.25),
        (IntegerType::I8, 0.25),
        (IntegerType::U8, 0.0237),
    ] {
        let input = Quantized {
            scale,
            ..quantized(integer, 100)
        };
        let ties = (-300..300).map(|steps| (steps as f32 + 0.5) * scale);
        let others = values(7, 500)
            .into_iter()
            .map(|value| value * 100.0 * scale);
        let numbers: Vec<f32> = SPECIAL.into_iter().chain(ties).chain(others).collect();
        let factor = 1.0 / scale;
        let (least, most) = (integer.min(), integer.min() + 255);
        let expected = numbers.iter().map(|number| {
            let steps = (number * factor).round_ties_even() as i32;
            steps.saturating_add(input.zero_point).clamp(least, most)
        });
        let expected: Vec<i32> = expected.collect();
        let mut same = convolution(ConvKind::Conv, ConvGeometry::POINTWISE, [1, 1], integer, 0);
        same.bias = vec![0];
        same.weights = QuantizedWeights {
            values: match integer {
                IntegerType::U8 => Integers::U8(vec![1]),
                IntegerType::I8 => Integers::I8(vec![1]),
            },
            scales: vec![1.0],
            zero_points: vec![0],
        };
        let network = IntegerNetwork {
            input_shape: [1, numbers.len(), 1],
            input: ValueKind::Quantized(input),
            layers: vec![IntegerLayer {
                name: "same".to_string(),
                operation: IntegerOperation::Convolution(same),
                output: ValueKind::Quantized(input),
            }],
        };
        for isa in IntegerIsa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let found = run(&network, 0, isa, 1, &IntegerImages::F32(&numbers));
            assert_eq!(found, expected, "{isa}, {integer:?}, {scale}");
        }
    }
}

/// CI must not pass on a machine that lacks the instructions to be tested.
#[test]
fn the_machine_has_vectors() {
    for isa in IntegerIsa::ALL {
        println!("{isa}: {}", isa.is_available());
    }
    let expected = match cfg!(target_arch = "aarch64") {
        true => IntegerIsa::Neon,
        false => IntegerIsa::Avx2,
    };
    assert!(expected.is_available() || std::env::var_os("CI").is_none());
}
