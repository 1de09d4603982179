//! The output of a network in training that has no classifier: its pooled features. Their gradient
//! enters the program at the last map.

use mobilenet_kernels::inference::Pooling;

/// The last map of a network without a classifier, and what of it is averaged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PooledOutput {
    /// Index of the layer that writes the map.
    pub(crate) layer: usize,
    /// Rows and columns.
    pub(crate) map: [usize; 2],
    pub(crate) channels: usize,
    pub(crate) pooling: Pooling,
}

impl PooledOutput {
    /// The gradient of a batch of maps from that of the features, `[batch, channels]`: the same for
    /// each averaged pixel, 0 for others.
    pub(crate) fn spread(&self, gradients: &[f32]) -> Vec<f32> {
        let [rows, columns] = self.map;
        let window = match self.pooling {
            Pooling::Global => self.map,
            Pooling::Window([height, width]) => [height.min(rows), width.min(columns)],
        };
        let share = 1.0 / window.iter().product::<usize>() as f32;
        let mut maps = Vec::with_capacity(gradients.len() * rows * columns);
        for image in gradients.chunks_exact(self.channels) {
            for pixel in 0..rows * columns {
                let averaged = pixel / columns < window[0] && pixel % columns < window[1];
                let share = if averaged { share } else { 0.0 };
                maps.extend(image.iter().map(|gradient| gradient * share));
            }
        }
        maps
    }
}
