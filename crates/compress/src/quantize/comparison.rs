//! How far a network of integers is from the float network that it was made from.

use std::sync::{Arc, Mutex, PoisonError};

use mobilenet_kernels::integer::{
    Arithmetic, IntegerImages, IntegerNetwork, IntegerOperation, IntegerOutput, IntegerProgram,
    IntegerProgramConfig, Integers, PackedIntegers,
};
use mobilenet_kernels::simd::Isa;

use super::float_network::FloatNetwork;
use super::input_rule::InputRule;
use mobilenet_model::ModelError;

/// Signal and noise of one layer's output.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNoise {
    /// The layer.
    pub name: String,
    /// Sum of squares of the float network's values.
    pub signal: f64,
    /// Sum of squares of the differences.
    pub noise: f64,
}

/// A comparison over images.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    /// Every convolution, and the classifier.
    pub layers: Vec<LayerNoise>,
    /// Number of images.
    pub images: u64,
    /// Images of which both networks name the same class.
    pub same_class: u64,
}

impl LayerNoise {
    /// Signal to noise ratio in decibels. Infinite if there is no noise.
    pub fn decibels(&self) -> f64 {
        10.0 * (self.signal / self.noise).log10()
    }

    fn of(name: &str, float: &[f32], integers: &[f32]) -> Self {
        let pairs = || float.iter().zip(integers);
        Self {
            name: name.to_string(),
            signal: float.iter().map(|&value| f64::from(value).powi(2)).sum(),
            noise: pairs()
                .map(|(float, ours)| f64::from(float - ours).powi(2))
                .sum(),
        }
    }
}

impl Comparison {
    /// Adds a comparison over other images.
    pub fn merge(&mut self, other: &Self) {
        if self.layers.is_empty() {
            self.layers.clone_from(&other.layers);
        } else {
            for (layer, more) in self.layers.iter_mut().zip(&other.layers) {
                layer.signal += more.signal;
                layer.noise += more.noise;
            }
        }
        self.images += other.images;
        self.same_class += other.same_class;
    }

    /// The share of images of which both networks name the same class. `None` without images.
    pub fn agreement(&self) -> Option<f64> {
        (self.images > 0).then(|| self.same_class as f64 / self.images as f64)
    }
}

/// Both networks.
pub(super) struct Comparer {
    float: FloatNetwork,
    /// By which equalisation has scaled the channels of each layer of the body, if it has.
    factors: Vec<Vec<f32>>,
    input: InputRule,
    config: IntegerProgramConfig,
    weights: Arc<PackedIntegers>,
    /// Programs that no thread uses at the moment.
    idle: Mutex<Vec<IntegerProgram>>,
}

impl Comparer {
    pub(super) fn new(
        float: FloatNetwork,
        factors: Vec<Vec<f32>>,
        input: InputRule,
        network: &IntegerNetwork,
    ) -> Result<Self, ModelError> {
        let is_convolution =
            |operation: &IntegerOperation| matches!(operation, IntegerOperation::Convolution(_));
        let layers = network.layers.iter().enumerate();
        let convolutions = layers.filter(|(_, layer)| is_convolution(&layer.operation));
        let [rows, columns, _] = network.input_shape;
        let config = IntegerProgramConfig {
            size: [rows, columns],
            outputs: convolutions.map(|(index, _)| index).collect(),
            threads: 1,
        };
        let weights = PackedIntegers::new(network.clone(), Arithmetic::default(), Isa::best()?)?;
        Ok(Self {
            float,
            factors,
            input,
            config,
            weights: Arc::new(weights),
            idle: Mutex::default(),
        })
    }

    /// Compares what both networks make of an image, on the current thread and rayon's.
    pub(super) fn compare(&self, image: &[f32]) -> Result<Comparison, ModelError> {
        let float = self.float.run(image)?;
        let mut ours = self.integers(image)?;
        for (map, factors) in ours.iter_mut().zip(&self.factors) {
            for pixel in map.chunks_mut(factors.len().max(1)) {
                for (value, factor) in pixel.iter_mut().zip(factors) {
                    *value /= factor;
                }
            }
        }
        let outputs = float.body.iter().chain(&float.logits).zip(&ours);
        let layers = self.float.layers().zip(outputs);
        let layers =
            layers.map(|(layer, (float, ours))| LayerNoise::of(&layer.shape.name, float, ours));
        let same_class = match (&float.logits, ours.last()) {
            (Some(float), Some(ours)) => u64::from(best(float) == best(ours)),
            _ => 0,
        };
        Ok(Comparison {
            layers: layers.collect(),
            images: u64::from(float.logits.is_some()),
            same_class,
        })
    }

    /// The outputs of all convolutions, as the numbers that their integers mean.
    fn integers(&self, image: &[f32]) -> Result<Vec<Vec<f32>>, ModelError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = idle().pop();
        let mut program = match waiting {
            Some(program) => program,
            None => IntegerProgram::new(Arc::clone(&self.weights), &self.config)?,
        };
        let shapes = program.output_shapes().iter();
        let mut outputs: Vec<Vec<f32>> = shapes
            .map(|shape| vec![0.0; shape.iter().product()])
            .collect();
        let mut to: Vec<IntegerOutput<'_>> = outputs
            .iter_mut()
            .map(|output| IntegerOutput::F32(output))
            .collect();
        match self.input.of_samples.then(|| self.input.integers(&[image])) {
            Some(Integers::U8(image)) => program.run(&IntegerImages::U8(&image), &mut to)?,
            Some(Integers::I8(image)) => program.run(&IntegerImages::I8(&image), &mut to)?,
            None => program.run(&IntegerImages::F32(image), &mut to)?,
        }
        idle().push(program);
        Ok(outputs)
    }
}

/// The first of the largest values.
fn best(logits: &[f32]) -> Option<usize> {
    let indices = logits.iter().enumerate();
    let best = indices.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map(|(index, _)| index)
}
