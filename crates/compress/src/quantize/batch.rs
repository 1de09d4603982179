//! The activations of all photos for calibration, which layers of integers turn into the next.

use std::sync::Arc;

use mobilenet_kernels::ConvSize;
use mobilenet_kernels::integer::{
    Arithmetic, IntegerImages, IntegerLayer, IntegerNetwork, IntegerOutput, IntegerProgram,
    IntegerProgramConfig, IntegerType, Integers, PackedIntegers, Quantized, ValueKind,
};
use mobilenet_kernels::simd::Isa;
use rayon::prelude::*;

use super::input_rule::InputRule;
use super::layer::Layer;
use super::patches::Patches;
use super::statistics::TapSums;
use super::weights::IntegerWeights;
use mobilenet_model::ModelError;

/// One activation of all photos.
pub(super) struct Batch {
    /// `[photos, rows, columns, channels]`.
    values: Integers,
    shape: [usize; 3],
    meaning: Quantized,
}

impl Batch {
    /// The images as the first integers. All have `shape`.
    pub(super) fn new(images: &[Vec<f32>], shape: [usize; 3], input: &InputRule) -> Self {
        Self {
            values: input.integers(images),
            shape,
            meaning: input.quantized,
        }
    }

    /// What the integers mean.
    pub(super) fn meaning(&self) -> Quantized {
        self.meaning
    }

    /// Runs a layer, by the arithmetic that is the default everywhere. The result does not depend on
    /// the number of threads.
    ///
    /// # Errors
    /// If the layer cannot be computed.
    pub(super) fn run(&mut self, layer: &IntegerLayer) -> Result<(), ModelError> {
        let ValueKind::Quantized(meaning) = layer.output else {
            return Ok(());
        };
        let [rows, columns, _] = self.shape;
        let network = IntegerNetwork {
            input_shape: self.shape,
            input: ValueKind::Quantized(self.meaning),
            layers: vec![layer.clone()],
        };
        let weights = PackedIntegers::new(network, Arithmetic::default(), Isa::best()?)?;
        let config = IntegerProgramConfig {
            size: [rows, columns],
            outputs: vec![0],
            threads: rayon::current_num_threads(),
        };
        let mut program = IntegerProgram::new(Arc::new(weights), &config)?;
        let shape = program
            .output_shapes()
            .first()
            .copied()
            .unwrap_or(self.shape);
        let volume = |shape: [usize; 3]| shape.iter().product::<usize>();
        let count = self.values.len() / volume(self.shape).max(1) * volume(shape);
        let images = match &self.values {
            Integers::U8(values) => IntegerImages::U8(values),
            Integers::I8(values) => IntegerImages::I8(values),
        };
        let mut output = match meaning.integer {
            IntegerType::U8 => Integers::U8(vec![0; count]),
            IntegerType::I8 => Integers::I8(vec![0; count]),
        };
        let to = match &mut output {
            Integers::U8(values) => IntegerOutput::U8(values),
            Integers::I8(values) => IntegerOutput::I8(values),
        };
        program.run(&images, &mut [to])?;
        *self = Self {
            values: output,
            shape,
            meaning,
        };
        Ok(())
    }

    /// Biases of the next layer as integers. With the float network's tap sums, they are corrected
    /// so that the mean of each channel over the photos is the float network's.
    pub(super) fn bias(
        &self,
        layer: &Layer,
        windows: &ConvSize,
        weights: &IntegerWeights,
        float_taps: Option<&TapSums>,
    ) -> Vec<i32> {
        let unit =
            |channel: usize| f64::from(self.meaning.scale) * f64::from(weights.scale(channel));
        let sums = float_taps.zip(self.tap_sums(windows));
        let corrections = sums.map(|(float, ours)| {
            let float = float.mean_sums(&layer.shape, |index| f64::from(layer.weights[index]));
            let ours = ours.mean_sums(&layer.shape, |index| f64::from(weights.centred(index)));
            let pairs = float.into_iter().zip(ours).enumerate();
            let corrections = pairs.map(|(channel, (float, ours))| float - ours * unit(channel));
            corrections.collect::<Vec<f64>>()
        });
        let corrections = corrections.unwrap_or_else(|| vec![0.0; layer.bias.len()]);
        let biases = layer.bias.iter().zip(corrections).enumerate();
        let biases = biases.map(|(channel, (&bias, correction))| {
            ((f64::from(bias) + correction) / unit(channel)).round() as i32
        });
        biases.collect()
    }

    /// Samples of what the windows of the next layer read.
    pub(super) fn patches(&self, windows: &ConvSize) -> Patches {
        let [rows, columns, channels] = self.shape;
        let photos = self.values.len() / (rows * columns * channels).max(1);
        let zero = self.meaning.zero_point;
        Patches::new(windows, channels, photos, |index| {
            (self.values.get(index).unwrap_or(zero) - zero) as f32
        })
    }

    /// Sums of what the taps of windows read, in units of the scale. `None` without photos.
    fn tap_sums(&self, windows: &ConvSize) -> Option<TapSums> {
        let [rows, columns, channels] = self.shape;
        let one = rows * columns * channels;
        let zero = self.meaning.zero_point as i16;
        let of_map = |centred: Vec<i16>| TapSums::of_map(windows, channels, &centred);
        let each: Vec<TapSums> = match &self.values {
            Integers::U8(values) => {
                let maps = values.par_chunks(one);
                let centred = maps.map(|map| map.iter().map(|&q| i16::from(q) - zero).collect());
                centred.map(of_map).collect()
            }
            Integers::I8(values) => {
                let maps = values.par_chunks(one);
                let centred = maps.map(|map| map.iter().map(|&q| i16::from(q) - zero).collect());
                centred.map(of_map).collect()
            }
        };
        // Added in the order of the photos, so that the sums are always the same.
        each.into_iter().reduce(|mut all, one| {
            all.merge(&one);
            all
        })
    }
}
