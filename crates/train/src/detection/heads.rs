//! The layers of a detector after its body, forward and backward, on plain kernels: their maps are small.

use std::ops::Range;

use mobilenet_kernels::backward::{self, batch_norm::moments};
use mobilenet_kernels::batch_norm::{BatchNormParameters, scale_shift_to_vec};
use mobilenet_kernels::inference::LayerShape;
use mobilenet_kernels::pointwise::pointwise;
use mobilenet_kernels::{ConvSize, KernelError, conv};

/// A map: rows and columns, and its values, `[batch, rows, columns, channels]`.
#[derive(Debug, Clone)]
pub(super) struct Map {
    pub(super) size: [usize; 2],
    pub(super) values: Vec<f32>,
}

/// Ranges of an extra layer's parameters in the vector.
#[derive(Debug, Clone)]
pub(super) struct ExtraRanges {
    pub(super) weights: Range<usize>,
    pub(super) gamma: Range<usize>,
    pub(super) beta: Range<usize>,
    pub(super) mean: Range<usize>,
    pub(super) variance: Range<usize>,
}

/// A convolution with batch normalisation by the batch's own statistics.
#[derive(Debug, Clone)]
pub(super) struct ExtraLayer {
    pub(super) shape: LayerShape,
    pub(super) ranges: ExtraRanges,
    pub(super) epsilon: f64,
}

/// What the backward pass of an extra layer needs.
#[derive(Debug)]
pub(super) struct Kept {
    size: ConvSize,
    /// Before and after normalisation.
    z: Vec<f32>,
    mean: Vec<f32>,
    variance: Vec<f32>,
}

impl ExtraLayer {
    fn is_pointwise(&self) -> bool {
        self.shape.geometry.is_pointwise()
    }

    /// The layer's map, and what its gradients need.
    pub(super) fn forward(
        &self,
        parameters: &[f32],
        batch: usize,
        input: &Map,
    ) -> Result<(Map, Kept), KernelError> {
        let LayerShape {
            in_channels,
            out_channels,
            ..
        } = self.shape;
        let [rows, columns] = input.size;
        let size = self.shape.geometry.resolve(batch, rows, columns)?;
        let mut z = vec![0.0; size.output_len(out_channels)?];
        let weights = &parameters[self.ranges.weights.clone()];
        if self.is_pointwise() {
            let pixels = batch * rows * columns;
            pointwise(
                &input.values,
                weights,
                None,
                pixels,
                in_channels,
                out_channels,
                &mut z,
            )?;
        } else {
            conv::conv(
                &input.values,
                weights,
                &size,
                in_channels,
                out_channels,
                &mut z,
            )?;
        }
        let moments = moments(&z, out_channels)?;
        let kept = Kept {
            size,
            z,
            mean: moments.mean,
            variance: moments.variance,
        };
        let norm = self.norm(parameters, &kept).scale_shift()?;
        let activation = self.shape.activation;
        let values = scale_shift_to_vec(&kept.z, &norm.scale, &norm.shift, activation)?;
        let size = [kept.size.rows.output, kept.size.columns.output];
        Ok((Map { size, values }, kept))
    }

    fn norm<'a>(&self, parameters: &'a [f32], kept: &'a Kept) -> BatchNormParameters<'a> {
        BatchNormParameters {
            gamma: Some(&parameters[self.ranges.gamma.clone()]),
            beta: Some(&parameters[self.ranges.beta.clone()]),
            mean: &kept.mean,
            variance: &kept.variance,
            epsilon: self.epsilon,
        }
    }

    /// Writes the gradients of the parameters, and returns that of the input.
    pub(super) fn backward(
        &self,
        parameters: &[f32],
        input: &Map,
        kept: &Kept,
        map_gradient: &[f32],
        gradients: &mut [f32],
    ) -> Result<Vec<f32>, KernelError> {
        let LayerShape {
            in_channels,
            out_channels,
            activation,
            ..
        } = self.shape;
        let mut dz = vec![0.0; kept.z.len()];
        let norm = self.norm(parameters, kept);
        let of_norm =
            backward::batch_norm::gradients(&kept.z, &norm, activation, map_gradient, &mut dz)?;
        gradients[self.ranges.gamma.clone()].copy_from_slice(&of_norm.gamma);
        gradients[self.ranges.beta.clone()].copy_from_slice(&of_norm.beta);
        let weights = &parameters[self.ranges.weights.clone()];
        let of_weights = &mut gradients[self.ranges.weights.clone()];
        let mut of_input = vec![0.0; input.values.len()];
        if self.is_pointwise() {
            use backward::pointwise::{input_gradient, weight_gradient};
            let pixels = kept.z.len() / out_channels.max(1);
            weight_gradient(
                &input.values,
                pixels,
                in_channels,
                out_channels,
                &dz,
                of_weights,
            )?;
            input_gradient(
                weights,
                pixels,
                in_channels,
                out_channels,
                &dz,
                &mut of_input,
            )?;
        } else {
            use backward::conv::{input_gradient, weight_gradient};
            let size = &kept.size;
            weight_gradient(
                &input.values,
                size,
                in_channels,
                out_channels,
                &dz,
                of_weights,
            )?;
            input_gradient(weights, size, in_channels, out_channels, &dz, &mut of_input)?;
        }
        Ok(of_input)
    }

    /// Writes the running statistics, moved towards the batch's, to their ranges among the gradients.
    pub(super) fn statistics(&self, parameters: &[f32], kept: &Kept, decay: f64, to: &mut [f32]) {
        let count = (kept.z.len() / kept.mean.len().max(1)) as f64;
        let unbiased = count / (count - 1.0).max(1.0);
        for (range, batch, factor) in [
            (&self.ranges.mean, &kept.mean, 1.0),
            (&self.ranges.variance, &kept.variance, unbiased),
        ] {
            let running = &parameters[range.clone()];
            for ((to, running), batch) in to[range.clone()].iter_mut().zip(running).zip(batch) {
                let moved =
                    f64::from(*running) * decay + f64::from(*batch) * factor * (1.0 - decay);
                *to = moved as f32;
            }
        }
    }
}

/// A convolution of single pixels with a bias, which predicts from a map.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) weights: Range<usize>,
    pub(super) biases: Range<usize>,
}

impl Head {
    pub(super) fn forward(&self, parameters: &[f32], map: &[f32]) -> Result<Vec<f32>, KernelError> {
        let pixels = map.len() / self.inputs.max(1);
        let mut output = vec![0.0; pixels * self.outputs];
        let (weights, biases) = (
            &parameters[self.weights.clone()],
            &parameters[self.biases.clone()],
        );
        pointwise(
            map,
            weights,
            Some(biases),
            pixels,
            self.inputs,
            self.outputs,
            &mut output,
        )?;
        Ok(output)
    }

    /// Writes the gradients of the parameters, and adds that of the map.
    pub(super) fn backward(
        &self,
        parameters: &[f32],
        map: &[f32],
        output_gradient: &[f32],
        map_gradient: &mut [f32],
        gradients: &mut [f32],
    ) -> Result<(), KernelError> {
        use backward::pointwise::{input_gradient, weight_gradient};
        let pixels = map.len() / self.inputs.max(1);
        let (inputs, outputs) = (self.inputs, self.outputs);
        let of_weights = &mut gradients[self.weights.clone()];
        weight_gradient(map, pixels, inputs, outputs, output_gradient, of_weights)?;
        let mut sums = vec![0.0f64; outputs];
        for row in output_gradient.chunks_exact(outputs) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += f64::from(*value);
            }
        }
        for (bias, sum) in gradients[self.biases.clone()].iter_mut().zip(sums) {
            *bias = sum as f32;
        }
        let mut of_map = vec![0.0; map.len()];
        let weights = &parameters[self.weights.clone()];
        input_gradient(
            weights,
            pixels,
            inputs,
            outputs,
            output_gradient,
            &mut of_map,
        )?;
        for (sum, value) in map_gradient.iter_mut().zip(of_map) {
            *sum += value;
        }
        Ok(())
    }
}
