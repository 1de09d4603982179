//! Average precision of attributes.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

/// Average precision, as scikit-learn's `average_precision_score`: the sum of precision times the step of
/// recall over all thresholds, `sum (R_n - R_(n-1)) P_n`. Equal scores are one threshold. A score that is
/// not a number comes last. `None` without a positive example.
///
/// ```
/// use mobilenet_train::metrics::average_precision;
///
/// let examples = [(0.9, true), (0.8, false), (0.7, true)];
/// assert_eq!(average_precision(&examples), Some(0.5 + 0.5 * 2.0 / 3.0));
/// assert_eq!(average_precision(&[(0.9, false)]), None);
/// ```
pub fn average_precision(examples: &[(f32, bool)]) -> Option<f64> {
    let key = |score: f32| match score.is_nan() {
        true => f32::NEG_INFINITY,
        // One zero, not two.
        false => score + 0.0,
    };
    let mut order: Vec<(f32, bool)> = examples.iter().map(|&(s, is)| (key(s), is)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = order.iter().filter(|(_, is)| *is).count();
    if positives == 0 {
        return None;
    }
    let (mut seen, mut hits, mut sum) = (0, 0, 0.0);
    for equal in order.chunk_by(|a, b| a.0 == b.0) {
        let new = equal.iter().filter(|(_, is)| *is).count();
        (seen, hits) = (seen + equal.len(), hits + new);
        sum += new as f64 * (hits as f64 / seen as f64);
    }
    Some(sum / positives as f64)
}

/// How well an attribute is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttributeMetrics {
    /// Its name.
    pub name: String,
    /// Photos of which it is known.
    pub photos: usize,
    /// Those that have it: by a target of at least 0.5.
    pub positives: usize,
    /// Average precision. `None` if no photo has it.
    pub average_precision: Option<f64>,
}

impl AttributeMetrics {
    /// Metrics from a score and a target for each photo. A target that is NaN is not known.
    pub fn new(name: String, examples: impl Iterator<Item = (f32, f32)>) -> Self {
        let known = examples.filter(|(_, target)| !target.is_nan());
        let known: Vec<(f32, bool)> = known
            .map(|(score, target)| (score, target >= 0.5))
            .collect();
        Self {
            name,
            photos: known.len(),
            positives: known.iter().filter(|(_, is)| *is).count(),
            average_precision: average_precision(&known),
        }
    }
}

/// Mean average precision, over the attributes that some photo has.
pub fn mean_average_precision(attributes: &[AttributeMetrics]) -> Option<f64> {
    let known = attributes.iter().filter_map(|one| one.average_precision);
    let (count, sum) = known.fold((0usize, 0.0), |(count, sum), ap| (count + 1, sum + ap));
    (count > 0).then(|| sum / count as f64)
}

/// The attributes that are told worst first.
pub fn worst_first(attributes: &[AttributeMetrics]) -> Vec<&AttributeMetrics> {
    let mut order: Vec<&AttributeMetrics> = attributes.iter().collect();
    let key = |one: &AttributeMetrics| one.average_precision.unwrap_or(f64::INFINITY);
    order.sort_by(|a, b| {
        key(a)
            .total_cmp(&key(b))
            .then(Reverse(a.positives).cmp(&Reverse(b.positives)))
    });
    order
}
