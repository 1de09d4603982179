//! How good detections are, by Pascal VOC's rule: one overlap, 0.5, and the area under a class's
//! precision, or its mean at eleven recalls, as VOC had it until 2009.
//!
//! Unlike COCO's rule, a detection goes to the box that it overlaps most, whether that is free or not.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::average_precision::{FoundBox, TrueBox, overlap};

/// Overlap that a right detection has more than.
const OVERLAP: f64 = 0.5;

/// Average precision of a class, or the mean over classes. `None` where there is no box.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct VocMetrics {
    /// The area under the curve of precision and recall.
    pub ap: Option<f64>,
    /// The mean of the precision at recalls 0, 0.1, ... 1.
    pub ap_11: Option<f64>,
}

/// Evaluates detections. Boxes that are crowds, here also those that are difficult, are not needed, and
/// detections of them count neither as right nor as wrong. Returns the mean over classes, and each class
/// that has a box.
pub fn evaluate(
    truth: &[TrueBox],
    found: &[FoundBox],
) -> (VocMetrics, BTreeMap<usize, VocMetrics>) {
    let classes: BTreeSet<usize> = truth.iter().map(|one| one.class).collect();
    let of_class = |class: usize| Some((class, class_metrics(class, truth, found)?));
    let classes: BTreeMap<usize, VocMetrics> = classes.into_iter().filter_map(of_class).collect();
    let mean = |value: fn(&VocMetrics) -> Option<f64>| {
        let sum: Option<f64> = classes.values().map(value).sum();
        sum.filter(|_| !classes.is_empty())
            .map(|sum| sum / classes.len() as f64)
    };
    let whole = VocMetrics {
        ap: mean(|one| one.ap),
        ap_11: mean(|one| one.ap_11),
    };
    (whole, classes)
}

fn class_metrics(class: usize, truth: &[TrueBox], found: &[FoundBox]) -> Option<VocMetrics> {
    let mut boxes: BTreeMap<usize, Vec<(&TrueBox, bool)>> = BTreeMap::new();
    for one in truth.iter().filter(|one| one.class == class) {
        boxes.entry(one.image).or_default().push((one, false));
    }
    let needed = boxes
        .values()
        .flatten()
        .filter(|(one, _)| !one.crowd)
        .count();
    if needed == 0 {
        return None;
    }
    let mut found: Vec<&FoundBox> = found.iter().filter(|one| one.class == class).collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let (mut right, mut wrong) = (0u64, 0u64);
    let mut points: Vec<[f64; 2]> = Vec::with_capacity(found.len());
    for one in found {
        let mut best: Option<&mut (&TrueBox, bool)> = None;
        let mut most = OVERLAP;
        for candidate in boxes.get_mut(&one.image).into_iter().flatten() {
            let both = overlap(one.bounds, candidate.0.bounds);
            if both > most {
                (best, most) = (Some(candidate), both);
            }
        }
        match best {
            Some((one, _)) if one.crowd => {}
            Some((_, taken)) if !*taken => {
                *taken = true;
                right += 1;
            }
            _ => wrong += 1,
        }
        // Before the first that counts, precision has no meaning.
        let precision = right as f64 / (right + wrong).max(1) as f64;
        points.push([right as f64 / needed as f64, precision]);
    }
    Some(VocMetrics {
        ap: Some(area(&points)),
        ap_11: Some(eleven_points(&points)),
    })
}

/// The area under the precision, made monotone from the right.
fn area(points: &[[f64; 2]]) -> f64 {
    let (mut area, mut highest) = (0.0, 0.0f64);
    for (index, &[recall, precision]) in points.iter().enumerate().rev() {
        highest = highest.max(precision);
        let before = index.checked_sub(1).map_or(0.0, |before| points[before][0]);
        area += (recall - before) * highest;
    }
    area
}

fn eleven_points(points: &[[f64; 2]]) -> f64 {
    let at = |recall: f64| {
        let reached = points.iter().filter(|point| point[0] >= recall);
        reached.fold(0.0, |highest: f64, point| highest.max(point[1]))
    };
    (0..=10)
        .map(|index| at(f64::from(index) * 0.1))
        .sum::<f64>()
        / 11.0
}
