//! Layers with their weights, the reference applied to them, and settings of programs.

use mobilenet_kernels::inference::{
    ConvKind, ImageLayout, LayerShape, LayerWeights, Output, Pooling, ProgramConfig,
};
use mobilenet_kernels::{Activation, ConvGeometry, Padding, reference};

use crate::random::values;

/// A layer that owns its weights.
#[derive(Debug, Clone)]
pub(crate) struct Owned {
    pub(crate) kind: ConvKind,
    pub(crate) geometry: ConvGeometry,
    pub(crate) channels: [usize; 2],
    pub(crate) weights: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) activation: Activation,
}

impl Owned {
    pub(crate) fn new(
        kind: ConvKind,
        geometry: ConvGeometry,
        channels: [usize; 2],
        activation: Activation,
        seed: u64,
    ) -> Self {
        let inputs = if kind == ConvKind::Depthwise {
            1
        } else {
            channels[0]
        };
        let weights = channels[1] * inputs * geometry.kernel[0] * geometry.kernel[1];
        Self {
            kind,
            geometry,
            channels,
            weights: values(seed, weights),
            bias: values(!seed, channels[1]),
            activation,
        }
    }

    pub(crate) fn layer(&self) -> LayerWeights<'_> {
        LayerWeights {
            shape: LayerShape {
                kind: self.kind,
                geometry: self.geometry,
                in_channels: self.channels[0],
                out_channels: self.channels[1],
                activation: self.activation,
            },
            weights: &self.weights,
            bias: &self.bias,
        }
    }

    /// Output, height and width by the reference. It needs weights as `[rows, columns, in, out]`,
    /// or `[rows, columns, channels]` for a depthwise layer.
    pub(crate) fn reference(
        &self,
        input: &[f32],
        height: usize,
        width: usize,
    ) -> (Vec<f32>, usize, usize) {
        let size = self.geometry.resolve(1, height, width).unwrap();
        let [i, o] = self.channels;
        let taps = self.geometry.kernel[0] * self.geometry.kernel[1];
        let inputs = self.weights.len() / (o * taps);
        let weights: Vec<f32> = (0..taps * inputs * o)
            .map(|at| {
                let (tap, rest) = (at / (inputs * o), at % (inputs * o));
                self.weights[(rest % o * inputs + rest / o) * taps + tap]
            })
            .collect();
        let sums = match self.kind {
            ConvKind::Conv => reference::conv(input, &weights, &size, i, o),
            ConvKind::Depthwise => reference::depthwise(input, &weights, &size, i, 1),
        };
        let output = sums
            .iter()
            .enumerate()
            .map(|(at, sum)| {
                self.activation
                    .apply((sum + f64::from(self.bias[at % o])) as f32)
            })
            .collect();
        (output, size.rows.output, size.columns.output)
    }
}

/// Compares each value. Differences are relative to the largest expected value, or to 1 if that is
/// larger.
pub(crate) fn assert_within(tolerance: f64, found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected
        .iter()
        .fold(1f64, |max, x| max.max(f64::from(x.abs())));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - f64::from(*expected)).abs() / scale;
        assert!(
            error <= tolerance,
            "{what}: value {at} is {found}, expected {expected}"
        );
    }
}

/// The map of the last layer.
pub(crate) fn last_map(layers: &[Owned]) -> Output {
    Output::Map(layers.len() - 1)
}

pub(crate) fn config(
    layers: &[Owned],
    height: usize,
    width: usize,
    output: Output,
    threads: usize,
) -> ProgramConfig {
    ProgramConfig {
        height,
        width,
        geometries: layers.iter().map(|layer| layer.geometry).collect(),
        outputs: vec![output],
        pooling: Pooling::Global,
        layout: ImageLayout::Nhwc,
        // WebAssembly has one.
        threads: if cfg!(target_arch = "wasm32") && threads > 0 {
            1
        } else {
            threads
        },
        normalization: None,
    }
}

pub(crate) fn window(
    kernel: [usize; 2],
    stride: usize,
    dilation: usize,
    padding: Padding,
) -> ConvGeometry {
    ConvGeometry {
        kernel,
        stride,
        dilation,
        padding,
    }
}
