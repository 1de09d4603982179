//! Non-maximum suppression: of boxes that overlap, the best one stays.
//!
//! Candidates come from a heap, best first, and are compared with those that stay. So nothing is
//! sorted that is not looked at, and boxes that are not looked at need not be decoded: with the few
//! detections of a photo, most of thousands are not. Where classes do not compete, one heap has them all:
//! it ends with the last detection that is wanted, and not once for each class.

use std::cmp::Ordering;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::ControlFlow;

use crate::bounds::{Bounds, overlap};

/// A box by its index, with one of its classes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    score: f32,
    // Small, because heaps move them.
    class: u32,
    index: u32,
    /// How many of those that stay have lowered its score.
    seen: u32,
}

impl Candidate {
    fn new(score: f32, class: usize, index: usize) -> Self {
        Self {
            score,
            class: class as u32,
            index: index as u32,
            seen: 0,
        }
    }
}

impl Eq for Candidate {}

impl Ord for Candidate {
    /// The better score, then the lower class and index. No score is NaN.
    fn cmp(&self, other: &Self) -> Ordering {
        let scores = self.score.partial_cmp(&other.score);
        let scores = scores.unwrap_or(Ordering::Equal);
        scores.then((other.class, other.index).cmp(&(self.class, self.index)))
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
        let index = index as usize;
        let own = bounds(index);
        let hidden = |&(_, better, _): &Kept| overlap(better, own) > limits.overlap;
        if !kept.iter().any(hidden) {
            kept.push((index, own, score));
        }
    }
    kept
}

/// The greedy rule among the boxes of each class; `limits.most` is of a class. `scores` has those of a
/// box's classes. What stays comes best first, of equal scores the lowest class, and ends when `keep`
/// wants no more.
pub fn suppress_in_classes<'a>(
    boxes: usize,
    scores: impl Fn(usize) -> &'a [f32],
    bounds: impl Fn(usize) -> Bounds,
    limits: &Limits,
    mut keep: impl FnMut(usize, Bounds, f32) -> ControlFlow<()>,
) {
    // A box is a candidate with its best class; when that was looked at, with the next one.
    let best = (0..boxes).filter_map(|index| {
        let (class, score) = best_class(scores(index))?;
        (score >= limits.score).then(|| Candidate::new(score, class, index))
    });
    let mut heap = BinaryHeap::from(best.collect::<Vec<_>>());
    let mut decoded: Vec<Option<Bounds>> = vec![None; boxes];
    let mut kept: BTreeMap<usize, Vec<Bounds>> = BTreeMap::new();
    while let Some(mut candidate) = heap.peek_mut() {
        let (score, class) = (candidate.score, candidate.class as usize);
        let index = candidate.index as usize;
        match next_class(scores(index), class, score) {
            Some((class, score)) if score >= limits.score => {
                *candidate = Candidate::new(score, class, index);
            }
            _ => drop(PeekMut::pop(candidate)),
        }
        let own = *decoded[index].get_or_insert_with(|| bounds(index));
        let kept = kept.entry(class).or_default();
        let hidden = |&better: &Bounds| overlap(better, own) > limits.overlap;
        if kept.len() < limits.most && !kept.iter().any(hidden) {
            kept.push(own);
            if keep(class, own, score).is_break() {
                return;
            }
        }
    }
}

/// The best of a box's classes, of equal ones the first.
fn best_class(scores: &[f32]) -> Option<(usize, f32)> {
    let score = largest(scores);
    Some((position(scores, score)?, score))
}

/// The best of a box's classes after one of them.
fn next_class(scores: &[f32], class: usize, score: f32) -> Option<(usize, f32)> {
    if let Some(more) = position(&scores[class + 1..], score) {
        return Some((class + 1 + more, score));
    }
    let next = largest_of(scores, |other| other < score);
    let class = position(scores, next)?;
    (next < score).then_some((class, next))
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
        let (index, before) = (candidate.index as usize, candidate.score);
        let own = bounds(index);
        // Those that stayed since it was looked at last, the newest first.
        for &(_, better, _) in kept[candidate.seen as usize..].iter().rev() {
            let both = overlap(better, own);
            candidate.score *= match both <= limits.overlap {
                true => (factor * both * both).exp(),
                false => 0.0,
            };
            if candidate.score <= limits.score {
                break;
            }
        }
        candidate.seen = kept.len() as u32;
        if candidate.score == before {
            kept.push((index, own, candidate.score));
        } else if candidate.score > limits.score {
            heap.push(candidate);
        }
    }
    kept
}

/// The largest of some numbers, of which none is NaN.
pub(crate) fn largest(values: &[f32]) -> f32 {
    largest_of(values, |_| true)
}

/// The largest of those that count. Eight at a time, so that they are compared in vectors.
fn largest_of(values: &[f32], counts: impl Fn(f32) -> bool) -> f32 {
    let larger = |best: f32, value: f32| match value > best && counts(value) {
        true => value,
        false => best,
    };
    let mut best = [f32::NEG_INFINITY; 8];
    let (chunks, rest) = values.as_chunks::<8>();
    for chunk in chunks {
        best = std::array::from_fn(|lane| larger(best[lane], chunk[lane]));
    }
    best.into_iter()
        .chain(rest.iter().copied())
        .fold(f32::NEG_INFINITY, larger)
}

/// The first of some numbers that is this one. Eight at a time, too.
fn position(values: &[f32], value: f32) -> Option<usize> {
    let (chunks, _) = values.as_chunks::<8>();
    let among = |chunk: &[f32; 8]| {
        chunk
            .iter()
            .fold(false, |any, &other| any | (other == value))
    };
    let before = 8 * chunks.iter().take_while(|chunk| !among(chunk)).count();
    let rest = values[before..].iter().position(|&other| other == value);
    rest.map(|index| before + index)
}

fn candidates(
    scores: impl Iterator<Item = f32>,
    good: impl Fn(f32) -> bool,
) -> BinaryHeap<Candidate> {
    let scores = scores.enumerate().filter(|&(_, score)| good(score));
    let candidates = scores.map(|(index, score)| Candidate::new(score, 0, index));
    BinaryHeap::from(candidates.collect::<Vec<_>>())
}
