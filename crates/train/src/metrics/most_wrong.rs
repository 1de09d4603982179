//! The images with the highest loss: wrong labels, and images that the network cannot recognise.

use serde::{Deserialize, Serialize};

/// An image with its label, prediction and loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WrongImage {
    /// Its number in the data set.
    pub image: usize,
    /// Its class.
    pub label: usize,
    /// The predicted class.
    pub predicted: usize,
    /// Probability of the predicted class.
    #[serde(with = "crate::bits")]
    pub probability: f32,
    /// Its cross-entropy.
    #[serde(with = "crate::bits")]
    pub loss: f64,
}

/// Keeps a fixed number of images, those with the highest loss.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MostWrong {
    limit: usize,
    images: Vec<WrongImage>,
}

impl MostWrong {
    /// Keeps `limit` images.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            images: Vec::new(),
        }
    }

    /// Adds an image. A loss that is not a number counts as the highest.
    pub fn add(&mut self, image: WrongImage) {
        let before = |other: &WrongImage| {
            let by_loss = image.loss.total_cmp(&other.loss);
            by_loss.then(other.image.cmp(&image.image)).is_lt()
        };
        let position = self.images.partition_point(before);
        if position < self.limit {
            self.images.truncate(self.limit - 1);
            self.images.insert(position, image);
        }
    }

    /// The images, highest loss first. Equal losses are sorted by number, so that the order of
    /// batches does not matter.
    pub fn images(&self) -> &[WrongImage] {
        &self.images
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_are_kept_in_any_order() {
        let losses = [0.1, 3.0, 0.2, 3.0, f64::NAN, 2.0];
        let image = |image: usize| WrongImage {
            image,
            label: 0,
            predicted: 1,
            probability: 0.5,
            loss: losses[image],
        };
        for order in [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 4, 2]] {
            let mut worst = MostWrong::new(4);
            order.iter().for_each(|&index| worst.add(image(index)));
            let kept: Vec<usize> = worst.images().iter().map(|image| image.image).collect();
            assert_eq!(kept, [4, 1, 3, 5]);
        }
        let mut none = MostWrong::new(0);
        none.add(image(1));
        assert!(none.images().is_empty());
    }
}
