//! One training step on random data, for measurements. `peers/train.py` does the same in PyTorch.

use mobilenet::model::initialize::initial_parameters;
use mobilenet::model::{FlatLayout, MobileNetV1Config};
use mobilenet::train::optimizer::OptimizerConfig;
use mobilenet::train::quantization::Quantization;
use mobilenet::train::recipe::{Recipe, Target};
use mobilenet::train::schedule::Schedule;
use mobilenet::train::trainer::{State, Trainer};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::AnyError;

/// Number of classes.
const CLASSES: usize = 1000;

/// Returns a function that does one step of RMSProp and returns its loss. With `quantization`, values
/// are rounded as it says.
///
/// # Errors
/// If the network cannot take images of this size.
pub fn training_step(
    width: f64,
    resolution: usize,
    batch: usize,
    threads: usize,
    quantization: Option<Quantization>,
) -> Result<impl FnMut() -> Result<f32, AnyError>, AnyError> {
    let config = MobileNetV1Config {
        num_classes: Some(CLASSES),
        ..MobileNetV1Config::with_width(width)
    };
    let recipe = Recipe {
        batch_size: batch,
        resolution,
        optimizer: OptimizerConfig::rms_prop_slim(),
        schedule: Schedule::Constant {
            learning_rate: 0.001,
        },
        dropout_keep_prob: 1.0,
        quantization,
        target: Target::Labels {
            label_smoothing: 0.0,
        },
        ..Recipe::slim(u64::MAX)
    };
    let layout = FlatLayout::new(&config)?;
    let weights = layout.flatten(&initial_parameters(&config, 0)?)?;
    let state = State::new(&recipe, &layout, weights)?;
    let mut trainer = Trainer::new(recipe, &config, state, None, threads)?;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let images: Vec<f32> = (0..batch * resolution * resolution * 3)
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    let labels: Vec<u32> = (0..batch)
        .map(|_| rng.random_range(0..CLASSES as u32))
        .collect();
    Ok(move || Ok(trainer.step(&images, &labels)?.loss as f32))
}
