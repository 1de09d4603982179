//! Calibration of a classifier on photos that it has not seen: parts of the training photos take
//! turns at being left out of the fit.

use super::{Head, HeadOptions};
use crate::error::TrainError;

/// Parts that take turns. The photos of a class follow each other, so neighbours are in different
/// parts.
const PARTS: usize = 5;

/// Share of the right answers that are below [`Calibration::least_probability`].
const LOST: f64 = 0.05;

/// What a classifier's logits are worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// Logits divided by this have the softmax with the least cross-entropy on photos that were left
    /// out, so that its probabilities are shares of right answers.
    pub temperature: f64,
    /// The probability that 95 % of the right answers reach, on photos that were left out. Below it,
    /// a photo probably shows none of the classes.
    pub least_probability: f64,
}

impl Calibration {
    /// Fits a classifier for each part without it, and applies it to the part. `None` if there are
    /// fewer than 10 photos for each class.
    ///
    /// # Errors
    /// As [`Head::fit`].
    pub fn of(
        features: &[f32],
        width: usize,
        labels: &[u32],
        classes: usize,
        options: &HeadOptions,
    ) -> Result<Option<Self>, TrainError> {
        if labels.len() < 10 * classes {
            return Ok(None);
        }
        let (mut logits, mut answers) = (Vec::new(), Vec::new());
        for part in 0..PARTS {
            let select = |is_left_out: bool| {
                let rows = features.chunks_exact(width).zip(labels).enumerate();
                let rows = rows.filter(|(row, _)| (row % PARTS == part) == is_left_out);
                let (mut chosen, mut chosen_labels) = (Vec::new(), Vec::new());
                for (_, (features, &label)) in rows {
                    chosen.extend_from_slice(features);
                    chosen_labels.push(label);
                }
                (chosen, chosen_labels)
            };
            let (seen, seen_labels) = select(false);
            let head = Head::fit(&seen, width, &seen_labels, classes, options)?;
            let (left_out, left_out_labels) = select(true);
            logits.extend(head.logits(&left_out)?);
            answers.extend(left_out_labels);
        }
        Ok(Some(Self::from_logits(&logits, &answers, classes)))
    }

    fn from_logits(logits: &[f32], labels: &[u32], classes: usize) -> Self {
        let temperature = coolest(|temperature| loss(logits, labels, classes, temperature));
        let mut right: Vec<f64> = logits
            .chunks_exact(classes)
            .zip(labels)
            .filter(|(row, label)| best(row) == Some(**label as usize))
            .map(|(row, &label)| (-cross_entropy(row, label as usize, temperature)).exp())
            .collect();
        right.sort_by(f64::total_cmp);
        let least = right.get((LOST * right.len() as f64) as usize);
        Self {
            temperature,
            least_probability: least.copied().unwrap_or(0.0),
        }
    }
}

/// The temperature of the least loss, which has a single minimum, by golden sections of its
/// logarithm.
fn coolest(loss: impl Fn(f64) -> f64) -> f64 {
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (-3.0, 3.0);
    for _ in 0..40 {
        let [left, right] = [high - ratio * (high - low), low + ratio * (high - low)];
        match loss(left.exp()) < loss(right.exp()) {
            true => high = right,
            false => low = left,
        }
    }
    f64::exp((low + high) / 2.0)
}

/// Mean cross-entropy.
fn loss(logits: &[f32], labels: &[u32], classes: usize, temperature: f64) -> f64 {
    let rows = logits.chunks_exact(classes).zip(labels);
    let losses = rows.map(|(row, &label)| cross_entropy(row, label as usize, temperature));
    losses.sum::<f64>() / labels.len().max(1) as f64
}

fn cross_entropy(row: &[f32], label: usize, temperature: f64) -> f64 {
    let logit = |value: &f32| f64::from(*value) / temperature;
    let most = row.iter().map(logit).fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|value| (logit(value) - most).exp()).sum();
    most + sum.ln() - row.get(label).map_or(f64::NEG_INFINITY, logit)
}

fn best(row: &[f32]) -> Option<usize> {
    let best = row
        .iter()
        .enumerate()
        .max_by(|(_, a), (_, b)| a.total_cmp(b));
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits of two classes, `margin` apart, of which one in `wrong` is on the wrong side.
    fn answers(margin: f32, wrong: usize) -> (Vec<f32>, Vec<u32>) {
        let labels: Vec<u32> = (0..200).map(|row| row / 2 % 2).collect();
        let row = |(row, &label): (usize, &u32)| {
            let first = (label == 0) != (row % wrong == 0);
            if first { [margin, 0.0] } else { [0.0, margin] }
        };
        (labels.iter().enumerate().flat_map(row).collect(), labels)
    }

    #[test]
    fn probabilities_become_shares_of_right_answers() {
        for (margin, wrong) in [(8.0, 4), (0.2, 10), (3.0, 5)] {
            let (logits, labels) = answers(margin, wrong);
            let found = Calibration::from_logits(&logits, &labels, 2);
            let right = 1.0 - 1.0 / wrong as f64;
            // All right answers have this probability.
            assert!((found.least_probability - right).abs() < 1e-4, "{found:?}");
            let odds = (right / (1.0 - right)).ln();
            assert!((found.temperature - f64::from(margin) / odds).abs() < 1e-3);
        }
    }

    #[test]
    fn a_fit_is_judged_by_photos_that_it_has_not_seen() {
        // Random labels can be learnt by heart, but not foretold.
        let (rows, width) = (60, 80);
        let noise = |index: usize| ((index * 7919 + index * index * 31) % 1009) as f32 / 1009.0;
        let features: Vec<f32> = (0..rows * width).map(noise).collect();
        let labels: Vec<u32> = (0..rows)
            .map(|row| (noise(row + 5000) > 0.5).into())
            .collect();
        let options = HeadOptions::default();
        let head = Head::fit(&features, width, &labels, 2, &options).unwrap();
        let seen = Calibration::from_logits(&head.logits(&features).unwrap(), &labels, 2);
        let found = Calibration::of(&features, width, &labels, 2, &options);
        let found = found.unwrap().unwrap();
        assert!(
            found.temperature > 3.0 * seen.temperature,
            "{found:?} {seen:?}"
        );
        assert!(found.least_probability < 0.7, "{found:?}");
        let few = Calibration::of(&features[..width * 19], width, &labels[..19], 2, &options);
        assert_eq!(few.unwrap(), None);
    }
}
