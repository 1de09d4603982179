//! Initial weights from a seed: slim's for training, and random ones for benchmarks and tests.

use std::collections::HashMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::architecture::{Parameter, Part, parameters};
use crate::array::{Array, ShapeError};
use crate::config::{MobileNetV1Config, WeightInitializer};
use crate::error::ModelError;

/// Tensors of a network by our names ([`Parameter::name`]).
pub type Parameters = HashMap<String, Array>;

/// slim's initial values: weights by the scope's initialiser, gamma 1, beta 0, running mean 0,
/// running variance 1, biases 0. A seed gives the same values on every machine.
///
/// # Errors
/// As [`parameters`].
pub fn initial_parameters(config: &MobileNetV1Config, seed: u64) -> Result<Parameters, ModelError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let initializer = config.base.arg_scope.initializer;
    draw(config, |parameter| match parameter.part {
        Part::Weights => {
            let [out_channels, inputs, rows, columns] = weight_shape(parameter);
            let fans = ((inputs * rows * columns), (out_channels * rows * columns));
            (0..parameter.len())
                .map(|_| weight(initializer, fans, &mut rng))
                .collect()
        }
        Part::Gamma | Part::MovingVariance => vec![1.0; parameter.len()],
        Part::Biases | Part::Beta | Part::MovingMean => vec![0.0; parameter.len()],
    })
}

/// Weights by He's rule and random batch-norm statistics. Activations then keep their scale through
/// all layers, and an error anywhere changes the logits.
///
/// # Errors
/// As [`parameters`].
pub fn random_parameters(config: &MobileNetV1Config, seed: u64) -> Result<Parameters, ModelError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    draw(config, |parameter| {
        let (centre, spread) = match parameter.part {
            Part::Weights => {
                let [_, inputs, rows, columns] = weight_shape(parameter);
                (0.0, (6.0 / (inputs * rows * columns) as f64).sqrt())
            }
            Part::Gamma => (1.0, 0.3),
            Part::Beta => (0.3, 0.3),
            Part::MovingMean => (0.0, 0.3),
            Part::MovingVariance => (1.0, 0.5),
            Part::Biases => (0.0, 0.1),
        };
        (0..parameter.len())
            .map(|_| (centre + spread * rng.random_range(-1.0..1.0)) as f32)
            .collect()
    })
}

fn draw(
    config: &MobileNetV1Config,
    mut values: impl FnMut(&Parameter) -> Vec<f32>,
) -> Result<Parameters, ModelError> {
    let tensors = parameters(config)?.into_iter().map(|parameter| {
        let values = values(&parameter);
        let tensor = Array::new(parameter.shape.as_slice(), values)?;
        Ok((parameter.name(), tensor))
    });
    Ok(tensors.collect::<Result<Parameters, ShapeError>>()?)
}

fn weight_shape(parameter: &Parameter) -> [usize; 4] {
    match *parameter.shape.as_slice() {
        [out_channels, inputs, rows, columns] => [out_channels, inputs, rows, columns],
        _ => [parameter.len(), 1, 1, 1],
    }
}

fn weight(
    initializer: WeightInitializer,
    (fan_in, fan_out): (usize, usize),
    rng: &mut ChaCha8Rng,
) -> f32 {
    match initializer {
        WeightInitializer::TruncatedNormal { stddev } => (stddev * truncated_normal(rng)) as f32,
        WeightInitializer::XavierUniform => {
            let limit = (6.0 / (fan_in + fan_out) as f64).sqrt();
            (limit * rng.random_range(-1.0..1.0)) as f32
        }
    }
}

/// A standard normal value (Box-Muller).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// The same, redrawn while it is beyond two standard deviations.
fn truncated_normal(rng: &mut ChaCha8Rng) -> f64 {
    loop {
        let value = normal(rng);
        if value.abs() <= 2.0 {
            return value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(parameters: &Parameters, name: &str) -> Vec<f32> {
        parameters[name].values().to_vec()
    }

    #[test]
    fn truncated_normal_has_slims_moments_and_bounds() {
        let parameters = initial_parameters(&MobileNetV1Config::default(), 1).unwrap();
        let weights = values(&parameters, "Conv2d_13_pointwise.weight");
        let count = weights.len() as f64;
        let mean = weights.iter().map(|&w| f64::from(w)).sum::<f64>() / count;
        let deviation = (weights.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() / count).sqrt();
        assert!(mean.abs() < 1e-3, "{mean}");
        // Truncation at 2 leaves 0.8796 of the standard deviation.
        assert!((deviation / 0.09 - 0.8796).abs() < 0.005, "{deviation}");
        assert!(weights.iter().all(|w| w.abs() <= 0.18));
        assert!(
            values(&parameters, "Conv2d_3_depthwise.batch_norm.weight")
                .iter()
                .all(|&v| v == 1.0)
        );
        assert!(
            values(&parameters, "Logits.Conv2d_1c_1x1.bias")
                .iter()
                .all(|&v| v == 0.0)
        );
    }

    #[test]
    fn a_seed_decides() {
        let config = MobileNetV1Config::with_width(0.25);
        let weights = |seed| {
            values(
                &initial_parameters(&config, seed).unwrap(),
                "Conv2d_0.weight",
            )
        };
        assert_eq!(weights(7), weights(7));
        assert_ne!(weights(7), weights(8));
    }
}
