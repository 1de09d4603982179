//! Tensors that the golden files' formula computes from names.

use mobilenet_model::architecture::parameters;
use mobilenet_model::initialize::Parameters;
use mobilenet_model::{Array, MobileNetV1Config};

/// The values in [-1, 1) that `golden/formula.py` computes from a name.
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

/// The tensor that `formula.py` computes from a name.
pub fn array(name: &str, shape: &[usize]) -> Array {
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
    let values = uniform(name, shape.iter().product())
        .map(|u| (centre + spread * u) as f32)
        .collect();
    Array::new(shape, values).unwrap()
}

pub fn weights(config: &MobileNetV1Config) -> Parameters {
    parameters(config)
        .unwrap()
        .into_iter()
        .map(|parameter| {
            let name = parameter.name();
            let tensor = array(&name, &parameter.shape);
            (name, tensor)
        })
        .collect()
}
