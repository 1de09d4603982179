//! What filters read: samples of their inputs on the photos, and the covariance of these.

use mobilenet_kernels::pointwise::pointwise_with;
use mobilenet_kernels::{ConvSize, Epilogue};
use rayon::prelude::*;

use super::layer::Shape;
use super::rounding::ErrorModel;
use mobilenet_model::ModelError;

/// Most windows that are sampled.
const MOST_WINDOWS: usize = 8192;
/// Most values of all samples.
const MOST_VALUES: usize = 8 << 20;

/// Samples of windows, one row for each channel and tap.
pub(crate) struct Patches {
    /// `[channels, taps, samples]`, each row with mean 0.
    rows: Vec<f32>,
    samples: usize,
}

impl Patches {
    /// Samples of maps of `[rows, columns, channels]`, evenly over all windows of all photos. `at`
    /// gives a value by its index in all maps.
    pub(crate) fn new(
        windows: &ConvSize,
        channels: usize,
        photos: usize,
        at: impl Fn(usize) -> f32,
    ) -> Self {
        let (rows, columns) = (&windows.rows, &windows.columns);
        let taps = rows.kernel * columns.kernel;
        let all = photos * rows.output * columns.output;
        let most = (MOST_VALUES / (channels * taps).max(1)).clamp(1, MOST_WINDOWS);
        let step = all.div_ceil(most).max(1);
        let samples = all.div_ceil(step);
        let mut values = vec![0f32; channels * taps * samples];
        for sample in 0..samples {
            let window = sample * step;
            let (x, rest) = (window % columns.output, window / columns.output);
            let (y, photo) = (rest % rows.output, rest / rows.output);
            for tap in 0..taps {
                let row = rows.source(y, tap / columns.kernel);
                let column = columns.source(x, tap % columns.kernel);
                let Some((row, column)) = row.zip(column) else {
                    continue;
                };
                let pixel = (photo * rows.input + row) * columns.input + column;
                for channel in 0..channels {
                    values[(channel * taps + tap) * samples + sample] =
                        at(pixel * channels + channel);
                }
            }
        }
        // The bias makes up for means.
        for row in values.chunks_exact_mut(samples.max(1)) {
            let mean = row.iter().map(|&value| f64::from(value)).sum::<f64>() / samples as f64;
            row.iter_mut().for_each(|value| *value -= mean as f32);
        }
        Self {
            rows: values,
            samples,
        }
    }

    /// An error model for the filters of each input channel of a depthwise layer, and one for all
    /// filters of another.
    ///
    /// # Errors
    /// None for the shape that the samples were taken for.
    pub(crate) fn error_models(
        &self,
        shape: &Shape,
    ) -> Result<Vec<Option<ErrorModel>>, ModelError> {
        let inputs = shape.filter_len();
        let groups = self.rows.par_chunks(inputs * self.samples.max(1));
        let models = groups.map(|group| {
            let covariance = self.covariance(group, inputs)?;
            Ok(ErrorModel::new(&covariance, inputs))
        });
        models.collect()
    }

    /// `[inputs, inputs]`, as sums over the samples.
    fn covariance(&self, rows: &[f32], inputs: usize) -> Result<Vec<f64>, ModelError> {
        let plain = Epilogue::default();
        let sums = pointwise_with(rows, rows, inputs, self.samples, inputs, &plain)?;
        Ok(sums.into_iter().map(f64::from).collect())
    }
}
