//! Non-maximum suppression: of boxes that overlap, the best one stays.
//!
//! Candidates come from a heap, best first, and are compared with those that stay. So nothing is
//! sorted that is not looked at, and boxes that are not looked at need not be decoded: with the few
//! detections of a photo, most of thousands are not.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::bounds::{Bounds, overlap};

/// A box by its index.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    score: f32,
    index: usize,
    /// How many of those that stay have lowered its score.
    seen: usize,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    /// The better score, then the lower index. No score is NaN.
    fn cmp(&self, other: &Self) -> Ordering {
        let scores = self.score.partial_cmp(&other.score);
        let scores = scores.unwrap_or(Ordering::Equal);
        scores.then(other.index.cmp(&self.index))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What stays: index, box and score, best first.
pub type Kept = (usize, Bounds, f32);

/// Which boxes are candidates, and which of them stay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// A candidate has at least this score.
    pub score: f32,
    /// A box that overlaps a better one by more is dropped.
    pub overlap: f32,
    /// Most boxes that stay.
    pub most: usize,
}

/// The greedy rule. A score that is not a number is no candidate's.
pub fn suppress(
    scores: impl Iterator<Item = f32>,
    mut bounds: impl FnMut(usize) -> Bounds,
    limits: &Limits,
) -> Vec<Kept> {
    let mut heap = candidates(scores, |score| score >= limits.score);
    let mut kept: Vec<Kept> = Vec::new();
    while kept.len() < limits.most
        && let Some(Candidate { score, index, .. }) = heap.pop()
    {
        let own = bounds(index);
        let hidden = |&(_, better, _): &Kept| overlap(better, own) > limits.overlap;
        if !kept.iter().any(hidden) {
            kept.push((index, own, score));
        }
    }
    kept
}

/// Soft suppression, as TensorFlow's `NonMaxSuppressionV5`: a box that overlaps a better one loses
/// score, by `exp(-overlap^2 / (2 sigma))`, and is dropped only beyond the limits.
pub fn suppress_softly(
    scores: impl Iterator<Item = f32>,
    mut bounds: impl FnMut(usize) -> Bounds,
    limits: &Limits,
    sigma: f32,
) -> Vec<Kept> {
    let factor = -0.5 / sigma;
    let mut heap = candidates(scores, |score| score > limits.score);
    let mut kept: Vec<Kept> = Vec::new();
    while kept.len() < limits.most
        && let Some(mut candidate) = heap.pop()
    {
        let (own, before) = (bounds(candidate.index), candidate.score);
        // Those that stayed since it was looked at last, the newest first.
        for &(_, better, _) in kept[candidate.seen..].iter().rev() {
            let both = overlap(better, own);
            candidate.score *= match both <= limits.overlap {
                true => (factor * both * both).exp(),
                false => 0.0,
            };
            if candidate.score <= limits.score {
                break;
            }
        }
        candidate.seen = kept.len();
        if candidate.score == before {
            kept.push((candidate.index, own, candidate.score));
        } else if candidate.score > limits.score {
            heap.push(candidate);
        }
    }
    kept
}

fn candidates(
    scores: impl Iterator<Item = f32>,
    good: impl Fn(f32) -> bool,
) -> BinaryHeap<Candidate> {
    let scores = scores.enumerate().filter(|&(_, score)| good(score));
    let candidates = scores.map(|(index, score)| Candidate {
        score,
        index,
        seen: 0,
    });
    BinaryHeap::from(candidates.collect::<Vec<_>>())
}
