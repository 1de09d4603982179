//! Compares gradients of single kernels with PyTorch's autograd. The script and the version are
//! beside the golden file.

use std::collections::HashMap;
use std::path::Path;

use mobilenet_kernels::backward::{batch_norm, conv, depthwise, pointwise};
use mobilenet_kernels::batch_norm::{BatchNormParameters, scale_shift};
use mobilenet_kernels::{Activation, ConvGeometry, ConvSize, Padding};
use safetensors::SafeTensors;

/// The values in [-1, 1) that `formula.py` computes from a name.
fn uniform(name: &str, count: usize) -> Vec<f32> {
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let value = |i: u64| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (1..=count as u64).map(value).collect()
}

/// A case: its name, its sizes, and the file with PyTorch's results.
struct Case<'a> {
    name: &'a str,
    sizes: HashMap<&'a str, &'a str>,
    file: &'a SafeTensors<'a>,
}

impl Case<'_> {
    fn size(&self, key: &str) -> usize {
        self.sizes[key].parse().unwrap()
    }

    fn drawn(&self, what: &str, count: usize) -> Vec<f32> {
        uniform(&format!("{}.{what}", self.name), count)
    }

    fn window(&self) -> ConvSize {
        let padding = match self.sizes["padding"] {
            "same" => Padding::Same,
            number => Padding::symmetric(number.parse().unwrap()),
        };
        let geometry = ConvGeometry {
            kernel: [3, 3],
            stride: self.size("stride"),
            dilation: self.size("dilation"),
            padding,
        };
        let [batch, height, width] = ["batch", "height", "width"].map(|key| self.size(key));
        geometry.resolve(batch, height, width).unwrap()
    }

    /// Fails if a difference exceeds 1e-5 of the largest expected value.
    fn check(&self, what: &str, found: &[f32]) {
        let name = format!("{}.{what}", self.name);
        let view = self.file.tensor(&name).unwrap();
        let (values, []) = view.data().as_chunks::<4>() else {
            panic!("{name} is not f32")
        };
        let expected: Vec<f32> = values.iter().map(|v| f32::from_le_bytes(*v)).collect();
        assert_eq!(found.len(), expected.len(), "{name}");
        let scale = expected.iter().fold(0f32, |max, x| max.max(x.abs()));
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = (found - expected).abs() / scale;
            assert!(error <= 1e-5, "{name}[{i}]: {found} instead of {expected}");
        }
    }

    fn depthwise(&self) {
        let (size, c) = (self.window(), self.size("channels"));
        let x = self.drawn("x", size.input_len(c).unwrap());
        let weight = self.drawn("weight", 9 * c);
        let g = self.drawn("cotangent", size.output_len(c).unwrap());
        let (mut dx, mut dweight) = (vec![f32::NAN; x.len()], vec![f32::NAN; weight.len()]);
        depthwise::input_gradient(&weight, &size, c, 1, &g, &mut dx).unwrap();
        depthwise::weight_gradient(&x, &size, c, 1, &g, &mut dweight).unwrap();
        self.check("dx", &dx);
        self.check("dweight", &dweight);
    }

    fn conv(&self) {
        let (size, [i, o]) = (
            self.window(),
            ["inputs", "outputs"].map(|key| self.size(key)),
        );
        let x = self.drawn("x", size.input_len(i).unwrap());
        let weight = self.drawn("weight", 9 * i * o);
        let g = self.drawn("cotangent", size.output_len(o).unwrap());
        let (mut dx, mut dweight) = (vec![f32::NAN; x.len()], vec![f32::NAN; weight.len()]);
        conv::input_gradient(&weight, &size, i, o, &g, &mut dx).unwrap();
        conv::weight_gradient(&x, &size, i, o, &g, &mut dweight).unwrap();
        self.check("dx", &dx);
        self.check("dweight", &dweight);
    }

    fn pointwise(&self) {
        let [p, i, o] = ["pixels", "inputs", "outputs"].map(|key| self.size(key));
        let (x, weight) = (self.drawn("x", p * i), self.drawn("weight", o * i));
        let g = self.drawn("cotangent", p * o);
        let (mut dx, mut dweight) = (vec![f32::NAN; x.len()], vec![f32::NAN; weight.len()]);
        pointwise::input_gradient(&weight, p, i, o, &g, &mut dx).unwrap();
        pointwise::weight_gradient(&x, p, i, o, &g, &mut dweight).unwrap();
        self.check("dx", &dx);
        self.check("dweight", &dweight);
    }

    fn batch_norm(&self) {
        let [batch, height, width, c] =
            ["batch", "height", "width", "channels"].map(|key| self.size(key));
        let len = batch * height * width * c;
        let offsets = self.drawn("offset", c);
        let values = self.drawn("x", len).into_iter().enumerate();
        let x: Vec<f32> = values
            .map(|(at, u)| {
                let scale = 0.5f64.powi((at % c % 5) as i32);
                (f64::from(u) * scale + 2.0 * f64::from(offsets[at % c])) as f32
            })
            .collect();
        let drawn = |what: &str, centre: f64, spread: f64| -> Vec<f32> {
            let values = self.drawn(what, c).into_iter();
            values
                .map(|u| (centre + spread * f64::from(u)) as f32)
                .collect()
        };
        let (gamma, beta) = (drawn("gamma", 3.0, 1.0), drawn("beta", 2.5, 0.5));
        let moments = batch_norm::moments(&x, c).unwrap();
        self.check("mean", &moments.mean);
        self.check("variance", &moments.variance);
        let parameters = BatchNormParameters {
            gamma: Some(&gamma),
            beta: Some(&beta),
            mean: &moments.mean,
            variance: &moments.variance,
            epsilon: 1e-3,
        };
        let folded = parameters.scale_shift().unwrap();
        let (mut output, mut dx) = (vec![f32::NAN; len], vec![f32::NAN; len]);
        let relu6 = Activation::Relu6;
        scale_shift(&x, &folded.scale, &folded.shift, relu6, &mut output).unwrap();
        self.check("output", &output);
        let g = self.drawn("cotangent", len);
        let found = batch_norm::gradients(&x, &parameters, relu6, &g, &mut dx).unwrap();
        self.check("dx", &dx);
        self.check("dgamma", &found.gamma);
        self.check("dbeta", &found.beta);
    }
}

#[test]
fn gradients_equal_those_of_pytorch() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/backward.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for (key, sizes) in &metadata {
        let Some(name) = key.strip_prefix("case.") else {
            continue;
        };
        let pairs = sizes.split(' ').map(|pair| pair.split_once('=').unwrap());
        let case = Case {
            name,
            sizes: pairs.collect(),
            file: &file,
        };
        let (operation, _) = name.rsplit_once('_').unwrap();
        match operation {
            "depthwise" => case.depthwise(),
            "conv" => case.conv(),
            "pointwise" => case.pointwise(),
            "batch_norm" => case.batch_norm(),
            other => panic!("unknown operation {other}"),
        }
        *counts.entry(operation).or_default() += 1;
    }
    println!("{counts:?} against {}", metadata["framework"]);
    let expected = [
        ("depthwise", 11),
        ("conv", 2),
        ("pointwise", 2),
        ("batch_norm", 2),
    ];
    assert_eq!(counts, HashMap::from(expected));
}
