//! All parameters of a network in one vector, as optimisers, averages and training checkpoints use
//! them.

use std::ops::Range;

use crate::architecture::{LayerName, Parameter, Part, parameters};
use crate::array::Array;
use crate::config::MobileNetV1Config;
use crate::error::ModelError;
use crate::initialize::Parameters;

/// The range of each parameter in the vector, in order of computation. Includes running statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlatLayout {
    entries: Vec<(Parameter, Range<usize>)>,
    len: usize,
}

impl FlatLayout {
    /// The layout of a network's parameters.
    ///
    /// # Errors
    /// As [`parameters`].
    pub fn new(config: &MobileNetV1Config) -> Result<Self, ModelError> {
        let mut len = 0;
        let entries = parameters(config)?
            .into_iter()
            .map(|parameter| {
                let range = len..len + parameter.len();
                len = range.end;
                (parameter, range)
            })
            .collect();
        Ok(Self { entries, len })
    }

    /// Length of the vector.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Always false: every network has parameters.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The parameters and their ranges.
    pub fn entries(&self) -> &[(Parameter, Range<usize>)] {
        &self.entries
    }

    /// The range of a layer's tensor, if the network has it.
    pub fn range(&self, layer: LayerName, part: Part) -> Option<Range<usize>> {
        let of_layer = |entry: &&(Parameter, _)| entry.0.layer == layer && entry.0.part == part;
        self.entries
            .iter()
            .find(of_layer)
            .map(|(_, range)| range.clone())
    }

    /// Copies tensors into one vector.
    ///
    /// # Errors
    /// If a tensor is missing or has another length.
    pub fn flatten(&self, tensors: &Parameters) -> Result<Vec<f32>, ModelError> {
        let mut values = Vec::with_capacity(self.len);
        for (parameter, _) in &self.entries {
            let name = parameter.name();
            let missing = || ModelError::Missing { name: name.clone() };
            let tensor = tensors.get(&name).ok_or_else(missing)?;
            if tensor.shape() != parameter.shape {
                return Err(ModelError::ParameterShape {
                    name,
                    expected: parameter.shape.clone(),
                    found: tensor.shape().to_vec(),
                });
            }
            values.extend(tensor.values());
        }
        Ok(values)
    }

    /// Copies the vector into tensors.
    ///
    /// # Errors
    /// If the vector has another length.
    pub fn tensors(&self, values: &[f32]) -> Result<Parameters, ModelError> {
        if values.len() != self.len {
            return Err(ModelError::ParameterCount {
                expected: self.len,
                found: values.len(),
            });
        }
        let tensors = self.entries.iter().map(|(parameter, range)| {
            let values = values[range.clone()].to_vec();
            Ok((
                parameter.name(),
                Array::new(parameter.shape.as_slice(), values)?,
            ))
        });
        tensors.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initialize::random_parameters;

    #[test]
    fn tensors_survive_the_round_trip() {
        let config = MobileNetV1Config::with_width(0.25);
        let layout = FlatLayout::new(&config).unwrap();
        let tensors = random_parameters(&config, 3).unwrap();
        let flat = layout.flatten(&tensors).unwrap();
        assert_eq!(flat.len(), layout.len());
        let again = layout.tensors(&flat).unwrap();
        assert_eq!(again.len(), tensors.len());
        for (name, tensor) in &tensors {
            assert_eq!(again[name], *tensor, "{name}");
        }
        assert!(layout.tensors(&flat[1..]).is_err());
    }
}
