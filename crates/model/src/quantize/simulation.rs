//! The network of integers, computed in f32.

use mobilenet_kernels::integer::Quantized;

use super::codes::{CodeLayer, code, number, zero_code};
use super::float_network::{Activations, FloatNetwork};
use super::input_rule::InputRule;
use crate::error::ModelError;

/// A network of integers that is computed in f32, layer by layer.
pub(super) struct Simulation {
    pub(super) input: InputRule,
    /// The layers, the classifier included.
    pub(super) layers: Vec<CodeLayer>,
    /// What the pooled features mean.
    pub(super) features: Quantized,
}

impl Simulation {
    /// Codes of the pooled features.
    pub(super) fn pooled(
        &self,
        float: &FloatNetwork,
        map: &[u8],
        map_means: &Quantized,
    ) -> Vec<u8> {
        let means = float.pooled(map);
        let zero = zero_code(map_means) as f32;
        let steps = means
            .iter()
            .map(|mean| (mean - zero) * map_means.scale / self.features.scale);
        steps.map(|steps| code(steps, &self.features)).collect()
    }

    /// What the layers make of an image, in numbers. `float` has the sizes of all maps.
    ///
    /// # Errors
    /// If the image has another length.
    pub(super) fn run(
        &self,
        float: &FloatNetwork,
        image: &[f32],
    ) -> Result<Activations, ModelError> {
        let mut codes = self.input.codes(image);
        let mut means = self.input.quantized;
        let mut body = Vec::new();
        let mut layers = self.layers.iter().zip(&float.windows);
        for (layer, windows) in layers.by_ref().take(float.body.len()) {
            codes = layer.run(&codes, windows)?;
            means = *layer.output();
            body.push(numbers(&codes, &means));
        }
        let features = self.pooled(float, &codes, &means);
        let logits = match layers.next() {
            Some((layer, windows)) => {
                let codes = layer.run(&features, windows)?;
                Some(numbers(&codes, layer.output()))
            }
            None => None,
        };
        Ok(Activations {
            body,
            features: numbers(&features, &self.features),
            logits,
        })
    }
}

fn numbers(codes: &[u8], quantized: &Quantized) -> Vec<f32> {
    codes.iter().map(|&code| number(code, quantized)).collect()
}
