//! An SSD of random weights.

use mobilenet::detect::SsdConfig;
use mobilenet::detect::floats::{FloatLayer, FloatNetwork, FloatPredictor};
use mobilenet::kernels::ConvKind;
use mobilenet::kernels::inference::LayerShape;

use crate::{AnyError, pixels};

fn layer(name: &str, shape: LayerShape) -> FloatLayer {
    let inputs = match shape.kind {
        ConvKind::Conv => shape.in_channels,
        ConvKind::Depthwise => 1,
    };
    let depth = inputs * shape.geometry.kernel.iter().product::<usize>();
    let scale = (6.0 / depth as f32).sqrt();
    let weights = pixels(depth * shape.out_channels);
    FloatLayer {
        name: name.to_string(),
        weights: weights.into_iter().map(|value| scale * value).collect(),
        bias: vec![0.1; shape.out_channels],
        shape,
    }
}

/// The network of a configuration. Its weights are always the same.
///
/// # Errors
/// If there is no such SSD.
pub fn random_ssd(config: &SsdConfig) -> Result<FloatNetwork, AnyError> {
    let ssd = config.network()?;
    let layers = ssd.layers.iter().map(|one| layer(&one.name, one.shape));
    let predictors = ssd.predictors.iter().enumerate();
    let predictors = predictors.map(|(index, one)| FloatPredictor {
        reads: one.reads,
        boxes: layer(&format!("boxes_{index}"), one.boxes),
        scores: layer(&format!("scores_{index}"), one.classes),
    });
    Ok(FloatNetwork {
        size: config.size,
        layers: layers.collect(),
        predictors: predictors.collect(),
    })
}
