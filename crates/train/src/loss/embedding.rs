//! Losses of embeddings, of which only the direction counts: rows are scaled to length 1 first.

use super::{Loss, check_labels, examples};
use crate::error::TrainError;

/// Squared difference of the scaled outputs `[B, width]` from vectors of length 1, summed over the width
/// (section 4.7 of the paper: the distance from FaceNet's embedding).
///
/// Writes the gradient of the mean with respect to the outputs to `gradient`.
///
/// # Errors
/// If lengths do not agree.
pub fn direction_difference(
    outputs: &[f32],
    targets: &[f32],
    width: usize,
    gradient: &mut [f32],
) -> Result<Loss, TrainError> {
    let batch = examples("embeddings", outputs, width, gradient)?;
    TrainError::check_length("vectors to learn", outputs.len(), targets.len())?;
    let mut losses = Vec::with_capacity(batch);
    let mut row_gradient = vec![0.0; width];
    let rows = outputs.chunks(width).zip(targets.chunks(width));
    for ((output, target), gradient) in rows.zip(gradient.chunks_mut(width)) {
        let (unit, length) = scaled(output);
        let mut loss = 0.0;
        for ((gradient, unit), &target) in row_gradient.iter_mut().zip(&unit).zip(target) {
            let difference = unit - f64::from(target);
            loss += difference * difference;
            *gradient = 2.0 * difference / batch as f64;
        }
        losses.push(loss);
        through_scaling(&unit, length, &row_gradient, gradient);
    }
    Ok(Loss::new(losses))
}

/// Supervised contrastive loss (Khosla and others, 2020, their `L_out`) of outputs `[B, width]`: each
/// example should be nearer to those with its label than to all others, by the softmax of cosines divided
/// by `temperature`. Examples without another of their label only repel others.
///
/// The mean is over the examples that have another of their label. Writes its gradient with respect to the
/// outputs to `gradient`.
///
/// # Errors
/// If lengths do not agree, or the temperature is not above 0.
pub fn contrastive(
    outputs: &[f32],
    labels: &[u32],
    width: usize,
    temperature: f64,
    gradient: &mut [f32],
) -> Result<Loss, TrainError> {
    let batch = examples("embeddings", outputs, width, gradient)?;
    // Labels are compared only.
    check_labels(labels, batch, u32::MAX as usize)?;
    if !(temperature > 0.0 && temperature.is_finite()) {
        return Err(TrainError::Setting {
            setting: "the temperature of contrasts",
            range: "above 0 and finite",
            found: temperature.to_string(),
        });
    }
    let units: Vec<(Vec<f64>, f64)> = outputs.chunks(width).map(scaled).collect();
    let same = |a: usize, b: usize| a != b && labels.get(a) == labels.get(b);
    let positives: Vec<usize> = (0..batch)
        .map(|a| (0..batch).filter(|&b| same(a, b)).count())
        .collect();
    let anchors = positives.iter().filter(|&&count| count > 0).count();
    let mut losses = vec![0.0; batch];
    // Gradient of the mean with respect to the scaled rows.
    let mut of_units = vec![vec![0.0; width]; batch];
    let scale = 1.0 / (anchors.max(1) as f64 * temperature);
    for (a, &count) in positives
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
    {
        let of_a = &units[a].0;
        let cosines: Vec<f64> = units.iter().map(|(unit, _)| dot(of_a, unit)).collect();
        let others = (0..batch).filter(|&b| b != a);
        let sum: f64 = others
            .clone()
            .map(|b| ((cosines[b] - 1.0) / temperature).exp())
            .sum();
        let log_sum = sum.ln() + 1.0 / temperature;
        for b in others {
            let of_pair = cosines[b] / temperature;
            let mut slope = (of_pair - log_sum).exp();
            if same(a, b) {
                losses[a] += (log_sum - of_pair) / count as f64;
                slope -= 1.0 / count as f64;
            }
            let slope = slope * scale;
            let (unit_a, unit_b) = (&units[a].0, &units[b].0);
            add(&mut of_units[a], slope, unit_b);
            add(&mut of_units[b], slope, unit_a);
        }
    }
    let rows = units.iter().zip(&of_units).zip(gradient.chunks_mut(width));
    for (((unit, length), of_unit), gradient) in rows {
        through_scaling(unit, *length, of_unit, gradient);
    }
    Ok(Loss {
        mean: losses.iter().sum::<f64>() / anchors.max(1) as f64,
        examples: losses,
    })
}

/// The row divided by its length, and the length, which is above 0.
fn scaled(row: &[f32]) -> (Vec<f64>, f64) {
    let square: f64 = row.iter().map(|&value| f64::from(value).powi(2)).sum();
    // As PyTorch's `normalize`: a row of zeros stays.
    let length = if square < 1e-24 { 1e-12 } else { square.sqrt() };
    let unit = row.iter().map(|&value| f64::from(value) / length);
    (unit.collect(), length)
}

/// The gradient of the row before scaling, from that of the scaled row.
fn through_scaling(unit: &[f64], length: f64, of_unit: &[f64], gradient: &mut [f32]) {
    let along = dot(unit, of_unit);
    for ((gradient, of_unit), unit) in gradient.iter_mut().zip(of_unit).zip(unit) {
        *gradient = ((of_unit - along * unit) / length) as f32;
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], factor: f64, values: &[f64]) {
    for (to, value) in to.iter_mut().zip(values) {
        *to += factor * value;
    }
}
