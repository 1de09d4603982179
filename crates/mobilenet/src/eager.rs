//! The engine that computes with our layers on candle.

use candle_core::{Device, Tensor};
use mobilenet_model::MobileNetV1;
use mobilenet_model::checkpoint::Checkpoint;

use crate::error::Error;

/// The network on candle, and the shape of its input image.
#[derive(Debug)]
pub(crate) struct Eager {
    network: MobileNetV1,
    /// Rows, columns, channels.
    image: [usize; 3],
}

impl Eager {
    pub(crate) fn new(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let preprocessing = &checkpoint.metadata.preprocessing;
        let [rows, columns] = preprocessing.size;
        Ok(Self {
            network: checkpoint.build()?,
            image: [rows, columns, preprocessing.channels()],
        })
    }

    pub(crate) fn logits(&self, pixels: &[f32]) -> Result<Vec<f32>, Error> {
        let logits = self.network.forward_t(&self.tensor(pixels)?, false)?;
        Ok(logits.flatten_all()?.to_vec1()?)
    }

    pub(crate) fn features(&self, pixels: &[f32]) -> Result<Vec<f32>, Error> {
        let features = self.network.features(&self.tensor(pixels)?)?;
        Ok(features.flatten_all()?.to_vec1()?)
    }

    /// Pixels `[rows, columns, channels]` as a tensor `[1, channels, rows, columns]`.
    fn tensor(&self, pixels: &[f32]) -> Result<Tensor, Error> {
        let [rows, columns, channels] = self.image;
        let tensor = Tensor::from_slice(pixels, (1, rows, columns, channels), &Device::Cpu)?;
        Ok(tensor.permute((0, 3, 1, 2))?)
    }
}
