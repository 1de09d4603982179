//! Batch normalisation by the moments of the batch, fused with the activation.

use candle_core::{CpuStorage, CustomOp3, Error, Layout, Result, Shape, Tensor};
use mobilenet_kernels::backward::batch_norm::{Moments, gradients, moments};
use mobilenet_kernels::batch_norm::{BatchNormParameters, scale_shift_to_vec};
use mobilenet_kernels::{Activation, KernelError};

use super::batch_norm_output::BatchNormOutput;
use crate::layout::{as_channels_first, kernels_take, read, slice, to_channels_last};

/// Normalises every channel by the mean and biased variance of the batch, then applies scale, shift
/// (each if given) and activation. Gradients include those through mean and variance.
///
/// # Shapes
/// `xs` `[B, C, H, W]`, `weight` and `bias` `[C]` -> output `[B, C, H, W]`.
///
/// # Errors
/// If the shapes do not fit each other, or there are no values.
pub fn batch_norm(
    xs: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    epsilon: f64,
    activation: Activation,
) -> Result<BatchNormOutput> {
    let channels = xs.dims4()?.1;
    for parameter in weight.iter().chain(&bias) {
        if parameter.dims() != [channels] {
            return Err(Error::Msg(format!(
                "batch_norm: parameter {:?} does not fit input {:?}",
                parameter.dims(),
                xs.dims()
            ))
            .bt());
        }
    }
    if !kernels_take(xs) {
        return crate::fallback::batch_norm(xs, weight, bias, epsilon, activation);
    }
    let xs = to_channels_last(xs)?;
    let moments = read("batch_norm input", [&xs], |[input]| {
        moments(input, channels).map_err(Error::wrap)
    })?;
    let mean = Tensor::from_slice(&moments.mean, channels, xs.device())?;
    let variance = Tensor::from_slice(&moments.variance, channels, xs.device())?;
    let weight = match weight {
        Some(weight) => weight.contiguous()?,
        None => mean.ones_like()?,
    };
    let bias = match bias {
        Some(bias) => bias.contiguous()?,
        None => mean.zeros_like()?,
    };
    let op = BatchNormOp {
        moments,
        epsilon,
        activation,
    };
    Ok(BatchNormOutput {
        output: as_channels_first(&xs.apply_op3(&weight, &bias, op)?)?,
        mean,
        variance,
    })
}

/// Input and output `[B, H, W, C]`, weight and bias `[C]`.
struct BatchNormOp {
    moments: Moments,
    epsilon: f64,
    activation: Activation,
}

impl BatchNormOp {
    fn parameters<'a>(&'a self, weight: &'a [f32], bias: &'a [f32]) -> BatchNormParameters<'a> {
        BatchNormParameters {
            gamma: Some(weight),
            beta: Some(bias),
            mean: &self.moments.mean,
            variance: &self.moments.variance,
            epsilon: self.epsilon,
        }
    }

    fn normalise(
        &self,
        input: &[f32],
        parameters: &BatchNormParameters<'_>,
    ) -> std::result::Result<Vec<f32>, KernelError> {
        let folded = parameters.scale_shift()?;
        scale_shift_to_vec(input, &folded.scale, &folded.shift, self.activation)
    }
}

impl CustomOp3 for BatchNormOp {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let input = slice("batch_norm input", input, input_layout)?;
        let parameters = self.parameters(
            slice("batch_norm weight", weight, weight_layout)?,
            slice("batch_norm bias", bias, bias_layout)?,
        );
        let output = self.normalise(input, &parameters).map_err(Error::wrap)?;
        Ok((CpuStorage::F32(output), input_layout.shape().clone()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let arguments = [xs, weight, bias, gradient];
        read(
            "batch_norm gradient",
            arguments,
            |[input, gamma, beta, g]| {
                let parameters = self.parameters(gamma, beta);
                let mut of_input = vec![0.0; input.len()];
                let found = gradients(input, &parameters, self.activation, g, &mut of_input)
                    .map_err(Error::wrap)?;
                let tracked = |argument: &Tensor, values: Vec<f32>| {
                    argument
                        .track_op()
                        .then(|| Tensor::from_vec(values, argument.shape(), argument.device()))
                        .transpose()
                };
                Ok((
                    tracked(xs, of_input)?,
                    tracked(weight, found.gamma)?,
                    tracked(bias, found.beta)?,
                ))
            },
        )
    }
}
