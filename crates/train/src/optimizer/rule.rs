//! Applies an elementwise rule to the flat slices, in fixed pieces on several threads.

use rayon::prelude::*;

use super::ParameterGroup;
use super::sum_of_squares::{CHUNK, of_chunk, sum_of_squares};

/// Longest piece, in values: 64 KiB per slice, so that a piece with its slots fits the L2 cache. The
/// squares of a piece are a chunk of those of its group.
const LONGEST: usize = CHUNK;

/// State that a rule keeps for each weight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// Name in checkpoints.
    pub(super) name: &'static str,
    /// Value before the first step.
    pub(super) initial: f32,
}

/// One weight in a step, with its gradient and settings.
#[derive(Clone, Copy)]
pub(super) struct Value {
    pub(super) weight: f32,
    pub(super) gradient: f32,
    pub(super) weight_decay: f32,
}

impl Value {
    /// Gradient of the loss plus `weight_decay * weight^2 / 2`.
    #[inline(always)]
    pub(super) fn gradient_with_l2(self) -> f32 {
        self.gradient + self.weight_decay * self.weight
    }
}

/// An optimiser's formula for one weight. It has no branches, so that the loop over it vectorises.
pub(super) trait Rule<const SLOTS: usize>: Sync {
    /// Its state.
    const SLOTS: [Slot; SLOTS];

    /// The new weight and the new state.
    fn update(&self, value: Value, slots: [f32; SLOTS]) -> (f32, [f32; SLOTS]);
}

/// A part of a group that one thread updates at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) group: usize,
    length: usize,
    weight_decay: f32,
    trainable: bool,
}

/// Cuts groups into pieces that cover the weights in order. The pieces depend on the groups only.
pub(super) fn pieces(groups: &[ParameterGroup]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        let mut rest = group.range.len();
        while rest > 0 {
            // A frozen group is skipped as one piece.
            let length = if group.trainable {
                rest.min(LONGEST)
            } else {
                rest
            };
            pieces.push(Piece {
                group: number,
                length,
                weight_decay: group.weight_decay,
                trainable: group.trainable,
            });
            rest -= length;
        }
    }
    pieces
}

/// Runs a rule over all trainable pieces, on the current rayon pool. Returns the sum of squares of each
/// piece with a weight decay, as its weights were before.
pub(super) fn update<const SLOTS: usize, R: Rule<SLOTS>>(
    rule: &R,
    pieces: &[Piece],
    mut weights: &mut [f32],
    mut gradients: &[f32],
    mut slots: [&mut [f32]; SLOTS],
) -> Vec<f64> {
    let mut tasks = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let (these, rest) = std::mem::take(&mut weights).split_at_mut(piece.length);
        weights = rest;
        let (theirs, rest) = gradients.split_at(piece.length);
        gradients = rest;
        let states = slots.each_mut().map(|slot| {
            let (state, rest) = std::mem::take(slot).split_at_mut(piece.length);
            *slot = rest;
            state
        });
        tasks.push((piece, these, theirs, states));
    }
    let tasks = tasks.into_par_iter();
    tasks
        .map(|(piece, weights, gradients, slots)| {
            // The weights come from far away, so their squares are added up on the way.
            let squares = match (piece.weight_decay != 0.0, piece.trainable) {
                (false, _) => 0.0,
                (true, true) => of_chunk(weights),
                (true, false) => sum_of_squares(weights),
            };
            if piece.trainable {
                update_piece(rule, piece.weight_decay, weights, gradients, slots);
            }
            squares
        })
        .collect()
}

fn update_piece<const SLOTS: usize, R: Rule<SLOTS>>(
    rule: &R,
    weight_decay: f32,
    weights: &mut [f32],
    gradients: &[f32],
    slots: [&mut [f32]; SLOTS],
) {
    // The same visible length for all slices, so that the loop needs no bounds checks.
    let length = weights.len();
    let gradients = &gradients[..length];
    let slots = slots.map(|slot| &mut slot[..length]);
    for index in 0..length {
        let value = Value {
            weight: weights[index],
            gradient: gradients[index],
            weight_decay,
        };
        let (weight, updated) = rule.update(value, std::array::from_fn(|slot| slots[slot][index]));
        weights[index] = weight;
        for slot in 0..SLOTS {
            slots[slot][index] = updated[slot];
        }
    }
}
