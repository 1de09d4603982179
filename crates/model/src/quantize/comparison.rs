//! How far a network of integers is from the float network that it was made from.

use serde::Serialize;

/// Signal and noise of one layer's output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerNoise {
    /// The layer.
    pub name: String,
    /// Sum of squares of the float network's values.
    pub signal: f64,
    /// Sum of squares of the differences.
    pub noise: f64,
}

/// A comparison over images.
#[derive(Debug, Clone, PartialEq, Serialize)]
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

    pub(super) fn add(&mut self, float: &[f32], ours: &[f32]) {
        for (&float, &ours) in float.iter().zip(ours) {
            self.signal += f64::from(float).powi(2);
            self.noise += f64::from(float - ours).powi(2);
        }
    }
}

impl Comparison {
    pub(super) fn new<'a>(layers: impl Iterator<Item = &'a str>) -> Self {
        let layers = layers.map(|name| LayerNoise {
            name: name.to_string(),
            signal: 0.0,
            noise: 0.0,
        });
        Self {
            layers: layers.collect(),
            images: 0,
            same_class: 0,
        }
    }

    pub(super) fn add_logits(&mut self, float: &[f32], ours: &[f32]) {
        self.images += 1;
        self.same_class += u64::from(best(float) == best(ours));
    }

    /// The share of images of which both networks name the same class.
    pub fn agreement(&self) -> f64 {
        self.same_class as f64 / self.images.max(1) as f64
    }
}

/// The first of the largest values.
fn best(logits: &[f32]) -> Option<usize> {
    let indices = logits.iter().enumerate();
    let best = indices.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map(|(index, _)| index)
}
