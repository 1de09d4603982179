//! Verification: which of two photos show the same. Accepted are pairs whose score is high enough.

use crate::error::TrainError;

/// Scores of pairs that show the same, and of pairs that do not.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// Highest first.
    same: Vec<f32>,
    different: Vec<f32>,
}

impl Verification {
    /// Both kinds must be there.
    ///
    /// # Errors
    /// [`TrainError::Setting`] if one kind has no pair, or a score is not a number.
    pub fn new(mut same: Vec<f32>, mut different: Vec<f32>) -> Result<Self, TrainError> {
        if same.is_empty() || different.is_empty() {
            return Err(TrainError::Setting {
                setting: "the data of a verification",
                range: "pairs that show the same, and pairs that do not",
                found: format!("{} and {}", same.len(), different.len()),
            });
        }
        if same.iter().chain(&different).any(|score| score.is_nan()) {
            return Err(TrainError::Setting {
                setting: "the scores of pairs",
                range: "numbers",
                found: "NaN".to_string(),
            });
        }
        for scores in [&mut same, &mut different] {
            scores.sort_unstable_by(|a, b| b.total_cmp(a));
        }
        Ok(Self { same, different })
    }

    /// Number of pairs that show the same, and of the others.
    pub fn pairs(&self) -> [usize; 2] {
        [self.same.len(), self.different.len()]
    }

    /// The share of true pairs that are accepted where at most this share of the others is. `None` where
    /// there are so few others that none of them may be accepted: the share cannot be measured then.
    pub fn true_accepts(&self, false_accept_rate: f64) -> Option<f64> {
        let allowed = (false_accept_rate * self.different.len() as f64 + 1e-9) as usize;
        if allowed == 0 {
            return None;
        }
        let accepted = match self.different.get(allowed) {
            // Equal scores are accepted together.
            Some(refused) => self.same.partition_point(|score| score > refused),
            None => self.same.len(),
        };
        Some(accepted as f64 / self.same.len() as f64)
    }

    /// Area under the curve of [`Self::points`]: the chance that a pair that shows the same has the
    /// higher score. Equal scores count half.
    pub fn area(&self) -> f64 {
        let below = |score: f32| {
            let higher = self.different.partition_point(|&other| other > score);
            let lower = self.different.partition_point(|&other| other >= score);
            let (count, equal) = (self.different.len() - lower, lower - higher);
            count as f64 + 0.5 * equal as f64
        };
        let sum: f64 = self.same.iter().map(|&score| below(score)).sum();
        sum / (self.same.len() as f64 * self.different.len() as f64)
    }

    /// The receiver operating characteristic at about `count` places: shares of false and of true
    /// accepts, from none to all.
    pub fn points(&self, count: usize) -> Vec<[f64; 2]> {
        let [same, different] = self.pairs().map(|count| count as f64);
        let mut points = vec![[0.0, 0.0]];
        let last = self.different.len();
        let mut add = |allowed: usize| {
            let Some(&score) = self.different.get(allowed) else {
                return;
            };
            for accepts in [|a: f32, b: f32| a > b, |a, b| a >= b] {
                let accepted = |scores: &[f32]| scores.partition_point(|&one| accepts(one, score));
                points.push([
                    accepted(&self.different) as f64 / different,
                    accepted(&self.same) as f64 / same,
                ]);
            }
        };
        (0..count).for_each(|place| add(place * last / count.max(1)));
        points.push([1.0, 1.0]);
        points.dedup();
        points
    }
}
