//! A network as it is loaded and saved: parameters and metadata.

use super::metadata::Metadata;
use super::report::LoadReport;
use crate::architecture::{LOGITS_LAYER, Part, parameters};
use crate::array::Array;
use crate::error::ModelError;
use crate::fold::{FoldedLayer, folded_layers};
use crate::head::Head;
use crate::initialize::{Parameters, initial_parameters};
use crate::labels::Labels;

/// A network's parameters and metadata.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Parameters by our names, f32 on the CPU.
    pub parameters: Parameters,
    /// All else about the network.
    pub metadata: Metadata,
    /// What became of each tensor of the file.
    pub report: LoadReport,
}

impl Checkpoint {
    /// The same network with batch normalisation folded into the convolutions.
    ///
    /// # Errors
    /// None for a checkpoint that [`load`](super::load) returned unchanged.
    pub fn fold(mut self) -> Result<Self, ModelError> {
        let config = self.metadata.config();
        for FoldedLayer {
            layer,
            weights,
            bias,
        } in folded_layers(&config, &self.parameters)?
        {
            let name = layer.endpoint.to_string();
            let prefix = format!("{name}.");
            self.parameters.retain(|name, _| !name.starts_with(&prefix));
            let weights = Array::new(layer.weight_shape(), weights)?;
            let bias = Array::new([layer.out_channels], bias)?;
            self.parameters.insert(format!("{name}.weight"), weights);
            self.parameters.insert(format!("{name}.bias"), bias);
        }
        self.metadata.folded = true;
        Ok(self)
    }

    /// The same network, folded, with batch normalisation that adds the bias and changes nothing
    /// else: mean 0, variance 1, epsilon 0. Programs for training take it. Folding gives the bits of
    /// the folded network again.
    ///
    /// # Errors
    /// As [`Self::fold`].
    pub fn unfold(self) -> Result<Self, ModelError> {
        let mut network = match self.metadata.folded {
            true => self,
            false => self.fold()?,
        };
        network.metadata.folded = false;
        network.metadata.batch_norm_epsilon = 0.0;
        for parameter in parameters(&network.metadata.config())? {
            let shape = parameter.shape.as_slice();
            let values = match parameter.part {
                Part::Weights | Part::Biases => continue,
                Part::Beta => {
                    let name = format!("{}.bias", parameter.layer);
                    let bias = network.parameters.remove(&name);
                    bias.ok_or(ModelError::Missing { name })?
                }
                Part::MovingMean => Array::new(shape, vec![0.0; parameter.len()])?,
                Part::Gamma | Part::MovingVariance => {
                    Array::new(shape, vec![1.0; parameter.len()])?
                }
            };
            network.parameters.insert(parameter.name(), values);
        }
        Ok(network)
    }

    /// The same body with a new classifier, whose weights are drawn by slim's initialiser. With
    /// `None` or 0 classes there is no classifier. The labels become unknown.
    ///
    /// # Errors
    /// None for a checkpoint that [`load`](super::load) returned unchanged.
    pub fn with_classes(mut self, classes: Option<usize>, seed: u64) -> Result<Self, ModelError> {
        self.metadata.classes = classes.filter(|&classes| classes > 0);
        self.metadata.labels = Labels::Unknown;
        self.metadata.head = Head::Classes;
        self.metadata.least_probability = None;
        self.parameters
            .retain(|name, _| !name.starts_with(LOGITS_LAYER));
        let fresh = initial_parameters(&self.metadata.config(), seed)?;
        let head = fresh
            .into_iter()
            .filter(|(name, _)| name.starts_with(LOGITS_LAYER));
        self.parameters.extend(head);
        Ok(self)
    }
}
