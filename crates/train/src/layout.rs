//! The parameters of a network in one vector, as optimisers, averages and checkpoints see them.

use std::ops::Range;

use mobilenet_model::FlatLayout;

use crate::error::TrainError;
use crate::optimizer::ParameterGroup;
use crate::recipe::Recipe;

/// Where a parameter is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name in files.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values in the vector.
    pub range: Range<usize>,
}

/// The parameters of a network in one vector.
pub trait ParameterLayout {
    /// Length of the vector.
    fn values(&self) -> usize;

    /// The parameters in the order of the vector, without gaps.
    fn places(&self) -> Vec<Place>;

    /// The same as groups for the optimiser of a recipe.
    ///
    /// # Errors
    /// If the recipe trains scopes that the network does not have.
    fn groups(&self, recipe: &Recipe) -> Result<Vec<ParameterGroup>, TrainError>;

    /// Number of activations whose ranges can be measured.
    fn activations(&self) -> usize;
}

impl ParameterLayout for FlatLayout {
    fn values(&self) -> usize {
        self.len()
    }

    fn places(&self) -> Vec<Place> {
        let entries = self.entries().iter();
        let place = entries.map(|(parameter, range)| Place {
            name: parameter.name(),
            shape: parameter.shape.clone(),
            range: range.clone(),
        });
        place.collect()
    }

    fn groups(&self, recipe: &Recipe) -> Result<Vec<ParameterGroup>, TrainError> {
        recipe.groups(self)
    }

    fn activations(&self) -> usize {
        let mut layers: Vec<_> = self.entries().iter().map(|(p, _)| p.layer).collect();
        layers.dedup();
        layers.len()
    }
}
