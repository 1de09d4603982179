//! The photos of one step.

use super::annotations::Object;

/// Photos of one step with their classes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Number of the step in the run, from 0. In evaluation, number of the batch.
    pub step: u64,
    /// Number of the pass over the data set, from 0.
    pub epoch: u64,
    /// Normalised pixels, `[batch, rows, columns, channels]`.
    pub images: Vec<f32>,
    /// Class indices, `[batch]`.
    pub labels: Vec<u32>,
    /// For detectors, the objects of each photo, as far as the network sees them.
    pub objects: Vec<Vec<Object>>,
    /// Indices of the photos in the data set, `[batch]`.
    pub indices: Vec<usize>,
}

impl Batch {
    /// Number of photos.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there are no photos.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Empties the batch for another step, but keeps its memory.
    pub(super) fn restart(&mut self, step: u64, epoch: u64) {
        self.step = step;
        self.epoch = epoch;
        self.images.clear();
        self.labels.clear();
        self.objects.clear();
        self.indices.clear();
    }
}
