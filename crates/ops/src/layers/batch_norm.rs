//! Batch normalisation with TensorFlow's conventions (slim's `batch_norm`).

use candle_core::{Error, Result, Tensor, Var};
use candle_nn::{Init, VarBuilder};
use mobilenet_kernels::batch_norm::{BatchNormParameters, ScaleShift};
use mobilenet_kernels::{Activation, BatchNormConfig};

use crate::functional::folded::can_fold;
use crate::functional::{batch_norm, scale_shift};
use crate::layout::read;

/// Normalises every channel. In evaluation it uses the running statistics. In training it uses
/// those of the batch, and updates the running statistics.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    running_mean: Var,
    running_var: Var,
    config: BatchNormConfig,
}

impl BatchNorm {
    /// Reads `weight` and `bias` (if the config has them), `running_mean` and `running_var`, each
    /// of shape `[channels]`.
    pub fn new(channels: usize, config: BatchNormConfig, vb: VarBuilder) -> Result<Self> {
        let get = |name: &str, init: f64| vb.get_with_hints(channels, name, Init::Const(init));
        Ok(Self {
            weight: config.scale.then(|| get("weight", 1.0)).transpose()?,
            bias: config.center.then(|| get("bias", 0.0)).transpose()?,
            running_mean: Var::from_tensor(&get("running_mean", 0.0)?)?,
            running_var: Var::from_tensor(&get("running_var", 1.0)?)?,
            config,
        })
    }

    /// Running mean, used in evaluation, `[channels]`.
    pub fn running_mean(&self) -> &Tensor {
        &self.running_mean
    }

    /// Running variance, used in evaluation, `[channels]`.
    pub fn running_var(&self) -> &Tensor {
        &self.running_var
    }

    /// Normalises and applies the activation.
    ///
    /// # Shapes
    /// `[B, C, H, W]` -> `[B, C, H, W]`.
    pub fn forward_t(&self, xs: &Tensor, activation: Activation, train: bool) -> Result<Tensor> {
        if train {
            self.normalise_by_batch(xs, activation)
        } else {
            let mean = self.running_mean.detach();
            let (scale, shift) = self.scale_and_shift(&mean, &self.running_var.detach())?;
            scale_shift(xs, &scale, &shift, activation)
        }
    }

    /// The normalisation in evaluation as plain numbers. `None` if the kernels do not support the
    /// parameters, or their gradients may be needed.
    pub(crate) fn constant(&self) -> Result<Option<ScaleShift>> {
        let parameters = [&self.weight, &self.bias].into_iter().flatten();
        let statistics = [self.running_mean.detach(), self.running_var.detach()];
        let all: Vec<&Tensor> = parameters.chain(&statistics).collect();
        if !can_fold(&all) {
            return Ok(None);
        }
        let [mean, variance] = &statistics;
        let gamma = self.weight.as_ref().unwrap_or(mean);
        let beta = self.bias.as_ref().unwrap_or(mean);
        read(
            "batch_norm",
            [mean, variance, gamma, beta],
            |[mean, variance, gamma, beta]| {
                let parameters = BatchNormParameters {
                    gamma: self.weight.is_some().then_some(gamma),
                    beta: self.bias.is_some().then_some(beta),
                    mean,
                    variance,
                    epsilon: self.config.epsilon,
                };
                parameters.scale_shift().map(Some).map_err(Error::wrap)
            },
        )
    }

    fn scale_and_shift(&self, mean: &Tensor, variance: &Tensor) -> Result<(Tensor, Tensor)> {
        let inverse = (variance + self.config.epsilon)?.sqrt()?.recip()?;
        let scale = match &self.weight {
            Some(weight) => (weight * inverse)?,
            None => inverse,
        };
        let offset = (mean * &scale)?;
        let shift = match &self.bias {
            Some(bias) => (bias - offset)?,
            None => offset.neg()?,
        };
        Ok((scale, shift))
    }

    fn normalise_by_batch(&self, xs: &Tensor, activation: Activation) -> Result<Tensor> {
        let (batch, _, height, width) = xs.dims4()?;
        let (weight, bias) = (self.weight.as_ref(), self.bias.as_ref());
        let found = batch_norm(xs, weight, bias, self.config.epsilon, activation)?;
        self.move_running(&found.mean, &found.variance, batch * height * width)?;
        Ok(found.output)
    }

    /// Moves the running statistics towards the batch's. The running variance uses the unbiased
    /// estimate, as in TensorFlow's fused kernel. A single value has no unbiased estimate, so the
    /// biased one (0) is used.
    fn move_running(&self, mean: &Tensor, variance: &Tensor, count: usize) -> Result<()> {
        let correction = count as f64 / (count - 1).max(1) as f64;
        let step = 1.0 - self.config.decay;
        for (running, batch) in [
            (&self.running_mean, mean.clone()),
            (&self.running_var, (variance * correction)?),
        ] {
            let batch = batch.to_dtype(running.dtype())?;
            running.set(&((running.as_tensor() * self.config.decay)? + (batch * step)?)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use candle_nn::{VarBuilder, VarMap};

    fn layer_and_map(channels: usize, config: BatchNormConfig) -> (BatchNorm, VarMap) {
        let map = VarMap::new();
        let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
        (BatchNorm::new(channels, config, vb).unwrap(), map)
    }

    #[test]
    fn training_normalises_by_the_batch_and_moves_the_running_statistics() -> Result<()> {
        let config = BatchNormConfig {
            decay: 0.75,
            epsilon: 0.0,
            ..BatchNormConfig::default()
        };
        let (layer, map) = layer_and_map(1, config);
        let xs = Tensor::new(&[1f32, 3.0, 5.0, 7.0], &Device::Cpu)?.reshape((2, 1, 1, 2))?;
        let ys = layer.forward_t(&xs, Activation::Identity, true)?;
        // mean 4, biased variance 5, unbiased 20/3
        let expected = [-3.0f32, -1.0, 1.0, 3.0].map(|d| d / 5f32.sqrt());
        for (y, e) in ys.flatten_all()?.to_vec1::<f32>()?.iter().zip(expected) {
            assert!((y - e).abs() < 1e-6, "{y} {e}");
        }
        let mean = layer.running_mean().to_vec1::<f32>()?[0];
        let var = layer.running_var().to_vec1::<f32>()?[0];
        assert!((mean - 1.0).abs() < 1e-6, "{mean}");
        assert!((var - (0.75 + 0.25 * 20.0 / 3.0)).abs() < 1e-6, "{var}");
        // The variables of the map are the layer's own.
        let shared = map.data().lock().unwrap()["running_mean"].to_vec1::<f32>()?[0];
        assert_eq!(shared, mean);
        Ok(())
    }

    #[test]
    fn a_single_value_gives_no_nan() -> Result<()> {
        let (layer, _) = layer_and_map(2, BatchNormConfig::default());
        let xs = Tensor::new(&[2f32, -3.0], &Device::Cpu)?.reshape((1, 2, 1, 1))?;
        let ys = layer.forward_t(&xs, Activation::Relu6, true)?;
        assert_eq!(ys.flatten_all()?.to_vec1::<f32>()?, [0.0, 0.0]);
        assert!(layer.running_var().to_vec1::<f32>()?[0].is_finite());
        Ok(())
    }

    #[test]
    fn without_scale_and_center_there_are_no_such_variables() {
        let config = BatchNormConfig {
            center: false,
            scale: false,
            ..BatchNormConfig::default()
        };
        let (_, map) = layer_and_map(3, config);
        let mut names: Vec<String> = map.data().lock().unwrap().keys().cloned().collect();
        names.sort();
        assert_eq!(names, ["running_mean", "running_var"]);
    }
}
