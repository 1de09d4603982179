//! Trains on candle's autograd, as the stored results of full convolutions were trained.

use std::collections::HashMap;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use mobilenet::model::initialize::Parameters;
use mobilenet::model::{FlatLayout, MobileNetV1, MobileNetV1Config};
use mobilenet::ops::softmax_cross_entropy;
use mobilenet::train::data::{Batch, Loader};
use mobilenet::train::recipe::Recipe;
use mobilenet::train::trainer::State;

/// As the trainer does from labels: the same optimiser, schedule, L2 and batches.
pub(super) fn train(
    recipe: &Recipe,
    config: &MobileNetV1Config,
    mut state: State,
    mut loader: Loader,
) -> Result<Parameters> {
    let layout = FlatLayout::new(config)?;
    let variables = variables(&layout, &state.weights)?;
    let tensors = variables.iter();
    let tensors = tensors.map(|(name, variable)| (name.clone(), variable.as_tensor().clone()));
    let builder = VarBuilder::from_tensors(tensors.collect(), DType::F32, &Device::Cpu);
    let mut network = MobileNetV1::new(config, builder)?;
    network.seed_dropout(recipe.seed);
    let mut gradients = vec![0.0; layout.len()];
    for step in 0..recipe.steps {
        let batch = loader.next_batch()?;
        let logits = network.forward_t(&images(&batch, recipe.resolution)?, true)?;
        let labels = Tensor::new(batch.labels.as_slice(), &Device::Cpu)?;
        loader.give_back(batch);
        let store = softmax_cross_entropy(&logits, &labels, 0.0)?.backward()?;
        for (parameter, range) in layout.entries() {
            let variable = variable(&variables, &parameter.name())?;
            // Running statistics have been moved by the forward pass, and have no gradient.
            copy(variable.as_tensor(), &mut state.weights[range.clone()])?;
            if parameter.is_trainable() {
                let gradient = store.get(variable.as_tensor());
                let gradient = gradient.with_context(|| parameter.name())?;
                copy(gradient, &mut gradients[range.clone()])?;
            }
        }
        let rate = recipe.schedule.learning_rate(step);
        state.optimizer.step(&mut state.weights, &gradients, rate)?;
        for (parameter, range) in layout.entries() {
            let values = &state.weights[range.clone()];
            let tensor = Tensor::from_slice(values, parameter.shape.as_slice(), &Device::Cpu)?;
            variable(&variables, &parameter.name())?.set(&tensor)?;
        }
    }
    Ok(layout.tensors(&state.weights)?)
}

fn variables(layout: &FlatLayout, weights: &[f32]) -> Result<HashMap<String, Var>> {
    let tensors = layout.tensors(weights)?.into_iter();
    let variables = tensors.map(|(name, array)| Ok((name, Var::from_tensor(&array.try_into()?)?)));
    variables.collect()
}

fn variable<'a>(variables: &'a HashMap<String, Var>, name: &str) -> Result<&'a Var> {
    variables.get(name).with_context(|| name.to_string())
}

/// `[B, 3, H, W]`.
fn images(batch: &Batch, side: usize) -> Result<Tensor> {
    let shape = (batch.len(), side, side, 3);
    let images = Tensor::from_slice(&batch.images, shape, &Device::Cpu)?;
    Ok(images.permute((0, 3, 1, 2))?)
}

fn copy(tensor: &Tensor, to: &mut [f32]) -> Result<()> {
    to.copy_from_slice(&tensor.flatten_all()?.to_vec1::<f32>()?);
    Ok(())
}
