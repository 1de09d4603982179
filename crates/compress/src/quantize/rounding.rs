//! Rounds the weights of a filter one after another, each to the side that makes up best for the
//! errors of those before it. Inputs of a filter are correlated, so errors can cancel in its sums.
//!
//! With the covariance `H = RᵀR` of a filter's inputs, `R` upper triangular, the mean square error
//! of the sums is `|R (w - q)|²`. From the last weight to the first, each `q` is the integer that
//! makes its row smallest (Babai's nearest plane, which is also GPTQ's rule).

/// Share of the mean variance that is added to each, so that inputs that never vary do no harm.
const DAMPING: f64 = 0.01;

/// How errors of a filter's weights add up in its sums.
pub(crate) struct ErrorModel {
    /// Weights in the order in which rows of the factor have them: those with the largest variance,
    /// whose errors cost most, come last and are rounded first.
    order: Vec<usize>,
    /// Upper triangular, row by row, each divided by its diagonal.
    factor: Vec<f64>,
}

impl ErrorModel {
    /// Of a covariance, `[inputs, inputs]`. `None` if the inputs do not vary.
    pub(crate) fn new(covariance: &[f64], inputs: usize) -> Option<Self> {
        let variance = |input: usize| covariance[input * inputs + input];
        let mean = (0..inputs).map(variance).sum::<f64>() / inputs as f64;
        if !(mean.is_finite() && mean > 0.0) {
            return None;
        }
        let mut order: Vec<usize> = (0..inputs).collect();
        order.sort_by(|&a, &b| variance(a).total_cmp(&variance(b)));
        let at = |row: usize, column: usize| {
            let damping = if row == column { DAMPING * mean } else { 0.0 };
            covariance[order[row] * inputs + order[column]] + damping
        };
        // Cholesky's factor, row by row.
        let mut factor = vec![0.0; inputs * inputs];
        for row in 0..inputs {
            let (done, rest) = factor.split_at_mut(row * inputs);
            let current = &mut rest[..inputs];
            for (column, value) in current.iter_mut().enumerate().skip(row) {
                *value = at(row, column);
            }
            for before in done.chunks_exact(inputs) {
                let factor = before[row];
                for (value, other) in current[row..].iter_mut().zip(&before[row..]) {
                    *value -= factor * other;
                }
            }
            let diagonal = current[row].max(f64::MIN_POSITIVE).sqrt();
            current[row..]
                .iter_mut()
                .for_each(|value| *value /= diagonal);
        }
        for (row, values) in factor.chunks_exact_mut(inputs).enumerate() {
            let diagonal = values[row];
            values[row..]
                .iter_mut()
                .for_each(|value| *value /= diagonal);
        }
        Some(Self { order, factor })
    }

    /// Integers within a range for weights in units of their scale.
    pub(crate) fn round(&self, weights: &[f32], [low, high]: [i32; 2]) -> Vec<i32> {
        self.choose(weights, |value| {
            let integer = (value.round() as i32).clamp(low, high);
            (integer, f64::from(integer))
        })
    }

    /// Symbols for weights. `nearest` gives the symbol that is best for a value, and what it means.
    pub(crate) fn choose<T: Copy + Default>(
        &self,
        weights: &[f32],
        nearest: impl Fn(f64) -> (T, f64),
    ) -> Vec<T> {
        let inputs = self.order.len();
        let mut rounded = vec![T::default(); inputs];
        // Weight minus integer, in the model's order.
        let mut errors = vec![0.0; inputs];
        for row in (0..inputs).rev() {
            let weight = f64::from(weights[self.order[row]]);
            let factors = &self.factor[row * inputs..][row + 1..inputs];
            let carried = factors.iter().zip(&errors[row + 1..]);
            let carried: f64 = carried.map(|(factor, error)| factor * error).sum();
            let (symbol, meaning) = nearest(weight + carried);
            rounded[self.order[row]] = symbol;
            errors[row] = weight - meaning;
        }
        rounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(covariance: &[f64], weights: &[f32], rounded: &[i32]) -> f64 {
        let errors: Vec<f64> = weights
            .iter()
            .zip(rounded)
            .map(|(&w, &q)| f64::from(w) - f64::from(q))
            .collect();
        let inputs = weights.len();
        let sum = |row: usize| -> f64 {
            let columns = (0..inputs).map(|column| covariance[row * inputs + column]);
            columns
                .zip(&errors)
                .map(|(value, error)| value * error)
                .sum()
        };
        (0..inputs).map(|row| errors[row] * sum(row)).sum()
    }

    #[test]
    fn errors_of_correlated_inputs_cancel() {
        // Nearly the same input nine times, as neighbouring pixels are.
        let inputs = 9;
        let covariance: Vec<f64> = (0..inputs * inputs)
            .map(|index| if index % (inputs + 1) == 0 { 10.0 } else { 9.5 })
            .collect();
        let model = ErrorModel::new(&covariance, inputs).unwrap();
        let (mut ours, mut theirs) = (0.0, 0.0);
        for filter in 0..50 {
            let weight = |input: usize| {
                let hash = ((filter * inputs + input) as u32).wrapping_mul(2_654_435_761);
                (hash >> 16) as f32 / 16384.0 - 2.0
            };
            let weights: Vec<f32> = (0..inputs).map(weight).collect();
            let rounded = model.round(&weights, [-127, 127]);
            let nearest: Vec<i32> = weights.iter().map(|w| w.round() as i32).collect();
            ours += error(&covariance, &weights, &rounded);
            theirs += error(&covariance, &weights, &nearest);
            // Each is one of the two next to the weight, or near to them.
            let is_near = |(w, &q): (&f32, &i32)| (w - q as f32).abs() < 2.0;
            assert!(weights.iter().zip(&rounded).all(is_near));
            let narrow = model.round(&weights, [0, 1]);
            assert!(narrow.iter().all(|q| (0..=1).contains(q)));
        }
        assert!(ours < 0.3 * theirs, "{ours} {theirs}");
    }

    #[test]
    fn independent_inputs_round_to_the_nearest() {
        let model = ErrorModel::new(&[4.0, 0.0, 0.0, 1.0], 2).unwrap();
        assert_eq!(model.round(&[0.6, -1.4], [-7, 7]), [1, -1]);
        assert!(ErrorModel::new(&[0.0; 4], 2).is_none());
        assert!(ErrorModel::new(&[f64::NAN; 4], 2).is_none());
    }
}
