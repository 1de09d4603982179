//! The float network, layer by layer, for images of one size.

use mobilenet_kernels::ConvSize;

use super::layer::Layer;
use mobilenet_model::ModelError;
use mobilenet_model::checkpoint::Checkpoint;
use mobilenet_model::pooling::{POOL_WINDOW, pooling};

#[derive(Clone)]
/// The float network: the body, a pool, and the classifier if there is one.
pub(crate) struct FloatNetwork {
    pub(crate) body: Vec<Layer>,
    pub(crate) logits: Option<Layer>,
    /// The windows of each layer, the classifier included.
    pub(crate) windows: Vec<ConvSize>,
    /// Rows and columns of the last map.
    pub(crate) map: [usize; 2],
    /// Rows and columns of it that the pool averages.
    pub(crate) pool: [usize; 2],
}

/// What the layers make of an image.
pub(crate) struct Activations {
    pub(crate) body: Vec<Vec<f32>>,
    pub(crate) features: Vec<f32>,
    pub(crate) logits: Option<Vec<f32>>,
}

impl FloatNetwork {
    /// The network of a checkpoint, for the checkpoint's image size.
    ///
    /// # Errors
    /// If a parameter is missing, or the size does not suit the network.
    pub(crate) fn new(checkpoint: &Checkpoint) -> Result<Self, ModelError> {
        let config = checkpoint.metadata.config();
        let body = Layer::of_body(&config, &checkpoint.parameters)?;
        let mut map = checkpoint.metadata.preprocessing.size;
        let mut windows = Vec::new();
        for layer in &body {
            let size = layer.shape.windows(map)?;
            map = [size.rows.output, size.columns.output];
            windows.push(size);
        }
        pooling(config.global_pool, map)?;
        let logits = Layer::of_logits(&config, &checkpoint.parameters)?;
        if let Some(logits) = &logits {
            windows.push(logits.shape.windows([1, 1])?);
        }
        let pool = match config.global_pool {
            true => map,
            false => map.map(|side| side.min(POOL_WINDOW)),
        };
        Ok(Self {
            body,
            logits,
            windows,
            map,
            pool,
        })
    }

    /// The layers, the classifier included.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.body.iter().chain(&self.logits)
    }

    /// Runs the network on a normalised image.
    ///
    /// # Errors
    /// If the image has another length.
    pub(crate) fn run(&self, image: &[f32]) -> Result<Activations, ModelError> {
        let mut body: Vec<Vec<f32>> = Vec::new();
        for (layer, windows) in self.body.iter().zip(&self.windows) {
            let input = body.last().map_or(image, Vec::as_slice);
            body.push(layer.run(input, windows)?);
        }
        let features = self.pooled(body.last().map_or(image, Vec::as_slice));
        let logits = match self.logits.as_ref().zip(self.windows.last()) {
            Some((layer, windows)) => Some(layer.run(&features, windows)?),
            None => None,
        };
        Ok(Activations {
            body,
            features,
            logits,
        })
    }

    /// Means of the last map's channels over the pool's pixels.
    pub(crate) fn pooled<T: Copy + Into<f64>>(&self, map: &[T]) -> Vec<f32> {
        let channels = self.body.last().map_or(1, |layer| layer.shape.out_channels);
        let [rows, columns] = self.pool;
        let mut sums = vec![0f64; channels];
        for row in map.chunks(self.map[1] * channels).take(rows) {
            for pixel in row.chunks(channels).take(columns) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += value.into();
                }
            }
        }
        let pixels = (rows * columns) as f64;
        sums.iter().map(|sum| (sum / pixels) as f32).collect()
    }
}
