//! Inverted dropout with its own seeded generator, because candle's CPU generator has no seed.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Result, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// In training, keeps each value with probability `keep_prob` and scales it by `1 / keep_prob`.
#[derive(Debug, Clone)]
pub struct Dropout {
    keep_prob: f64,
    rng: Arc<Mutex<ChaCha8Rng>>,
}

impl Dropout {
    /// Dropout with `keep_prob` in (0, 1].
    pub fn new(keep_prob: f64, seed: u64) -> Self {
        Self {
            keep_prob,
            rng: Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed))),
        }
    }

    /// # Shapes
    /// Any shape, kept.
    pub fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        if !train || self.keep_prob >= 1.0 {
            return Ok(xs.clone());
        }
        // A poisoned lock does no harm: a generator has no half-done state.
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let scale = (1.0 / self.keep_prob) as f32;
        let mask: Vec<f32> = (0..xs.elem_count())
            .map(|_| {
                if rng.random::<f64>() < self.keep_prob {
                    scale
                } else {
                    0.0
                }
            })
            .collect();
        let mask = Tensor::from_vec(mask, xs.shape(), xs.device())?;
        xs * mask.to_dtype(xs.dtype())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn evaluation_is_the_identity_and_training_keeps_the_mean() -> Result<()> {
        let xs = Tensor::ones(20_000, DType::F32, &Device::Cpu)?;
        let dropout = Dropout::new(0.8, 3);
        assert_eq!(
            dropout.forward_t(&xs, false)?.to_vec1::<f32>()?,
            vec![1.0; 20_000]
        );
        let kept = dropout.forward_t(&xs, true)?.to_vec1::<f32>()?;
        assert!(kept.iter().all(|&v| v == 0.0 || v == 1.25));
        let mean = kept.iter().sum::<f32>() / 20_000.0;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        let again = Dropout::new(0.8, 3)
            .forward_t(&xs, true)?
            .to_vec1::<f32>()?;
        assert_eq!(kept, again);
        Ok(())
    }
}
