//! A network that could be chosen: what it costs, whether it fits, and whether another is better.

use serde::Serialize;

use crate::args::{Choose, Precision};
use crate::values::Size;

/// A network that could be chosen.
#[derive(Debug, Serialize)]
pub(super) struct Candidate {
    #[serde(serialize_with = "of_precision")]
    pub(super) precision: Precision,
    pub(super) width: f64,
    pub(super) resolution: Size,
    /// Published, or interpolated between published ones. `null` beyond these.
    pub(super) accuracy: Option<f64>,
    pub(super) milliseconds: f64,
    /// Whether the time is measured; otherwise it is interpolated, and so is the accuracy.
    pub(super) measured: bool,
    pub(super) memory_mb: f64,
    pub(super) file_mb: f64,
    /// Whether it is within all limits.
    pub(super) fits: bool,
    /// Whether no other candidate is at least as good in everything and better in something.
    pub(super) front: bool,
    /// Whether it is the most accurate one that fits.
    pub(super) chosen: bool,
    /// With `--verify`, what was measured in place of `milliseconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verified_ms: Option<f64>,
}

fn of_precision<S: serde::Serializer>(of: &Precision, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(of.name())
}

/// Finds which candidates fit, the front, and the choice.
pub(super) fn rank(arguments: &Choose, candidates: &mut [Candidate]) {
    let within = |value: f64, limit: Option<f64>| limit.is_none_or(|limit| value <= limit);
    for candidate in candidates.iter_mut() {
        let least = arguments.min_accuracy.unwrap_or(0.0);
        candidate.fits = within(candidate.milliseconds, arguments.max_ms)
            && within(candidate.file_mb, arguments.max_mb)
            && within(candidate.memory_mb, arguments.max_memory_mb)
            && candidate.accuracy.is_some_and(|accuracy| accuracy >= least);
    }
    let goods: Vec<Option<[f64; 4]>> = candidates.iter().map(goods).collect();
    for (candidate, own) in candidates.iter_mut().zip(&goods) {
        candidate.front =
            own.is_some_and(|own| !goods.iter().flatten().any(|other| dominates(other, &own)));
    }
    let fitting = candidates.iter_mut().filter(|candidate| candidate.fits);
    let best = fitting.max_by(|a, b| {
        let by_accuracy = a
            .accuracy
            .unwrap_or(0.0)
            .total_cmp(&b.accuracy.unwrap_or(0.0));
        by_accuracy.then(b.milliseconds.total_cmp(&a.milliseconds))
    });
    if let Some(best) = best {
        best.chosen = true;
    }
}

/// What is better the larger it is. `None` without an accuracy.
fn goods(candidate: &Candidate) -> Option<[f64; 4]> {
    let Candidate {
        accuracy,
        milliseconds,
        memory_mb,
        file_mb,
        ..
    } = candidate;
    accuracy.map(|accuracy| [accuracy, -milliseconds, -memory_mb, -file_mb])
}

fn dominates(one: &[f64; 4], other: &[f64; 4]) -> bool {
    one.iter().zip(other).all(|(a, b)| a >= b) && one != other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dominated_is_what_another_beats_in_nothing_but_equals_or_worse() {
        assert!(dominates(
            &[2.0, -1.0, -1.0, -1.0],
            &[1.0, -1.0, -1.0, -1.0]
        ));
        assert!(!dominates(
            &[2.0, -2.0, -1.0, -1.0],
            &[1.0, -1.0, -1.0, -1.0]
        ));
        assert!(!dominates(&[1.0; 4], &[1.0; 4]));
    }
}
