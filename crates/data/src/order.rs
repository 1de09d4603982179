//! The order of the photos, and random generators. They depend on seed, epoch and position only, so
//! that a run can be resumed at any step with any number of workers.

use std::sync::{Arc, Mutex, PoisonError};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Number of epochs whose order is kept, because some workers may already be in a later epoch.
const KEPT: usize = 4;

/// The order of the photos in each epoch.
pub(super) struct EpochOrder {
    seed: u64,
    images: usize,
    /// The most recent orders.
    recent: Mutex<Vec<(u64, Arc<[usize]>)>>,
}

impl EpochOrder {
    pub(super) fn new(seed: u64, images: usize) -> Self {
        Self {
            seed,
            images,
            recent: Mutex::new(Vec::new()),
        }
    }

    /// Indices of all photos in the order of an epoch.
    pub(super) fn of(&self, epoch: u64) -> Arc<[usize]> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, order)) = recent.iter().find(|(of, _)| *of == epoch) {
            return order.clone();
        }
        let mut order: Vec<usize> = (0..self.images).collect();
        order.shuffle(&mut generator(self.seed, epoch, Purpose::Order));
        let order: Arc<[usize]> = order.into();
        if recent.len() == KEPT {
            recent.remove(0);
        }
        recent.push((epoch, order.clone()));
        order
    }
}

/// Purpose of a random generator.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// The order of an epoch.
    Order,
    /// Augmentation of the photo at a position of an epoch's order. It is not the photo's index,
    /// because a photo that replaces a broken one occurs twice and should look different.
    Augmentation(u64),
}

/// A separate generator for each purpose.
pub(super) fn generator(seed: u64, epoch: u64, purpose: Purpose) -> ChaCha8Rng {
    let (tag, position) = match purpose {
        Purpose::Order => (0, 0),
        Purpose::Augmentation(position) => (1, position),
    };
    let mut key = [0; 32];
    let words = [seed, epoch, position, tag];
    for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
