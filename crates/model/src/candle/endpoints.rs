//! Activations of a forward pass, by slim's names.

use candle_core::Tensor;

/// Activations by name, in order of computation (slim's `end_points`).
///
/// Feature maps are `[B, C, H, W]`. Logits and predictions are `[B, classes]`, or `[B, classes, H,
/// W]` if they are not squeezed.
#[derive(Debug, Clone, Default)]
pub struct Endpoints(Vec<(String, Tensor)>);

impl Endpoints {
    pub(crate) fn push(&mut self, name: impl Into<String>, value: Tensor) {
        self.0.push((name.into(), value));
    }

    /// The activation with this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// Names in order of computation.
    pub fn names(&self) -> Vec<&str> {
        self.iter().map(|(name, _)| name).collect()
    }

    /// Names and activations in order of computation.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}
