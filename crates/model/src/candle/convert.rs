//! Checkpoints as candle's tensors and networks.

use std::collections::HashMap;

use candle_core::{DType, Device, Result as CandleResult, Tensor};
use candle_nn::VarBuilder;

use super::mobilenet_v1::MobileNetV1;
use crate::checkpoint::Checkpoint;
use crate::error::ModelError;
use crate::initialize::Parameters;

/// A `VarBuilder` over f32 parameters on the CPU.
///
/// # Errors
/// From candle. None is known to occur, since an array's values fill its shape.
pub fn var_builder(parameters: Parameters) -> Result<VarBuilder<'static>, ModelError> {
    let tensors = parameters
        .into_iter()
        .map(|(name, array)| Ok((name, Tensor::try_from(array)?)));
    let tensors = tensors.collect::<CandleResult<HashMap<_, _>>>()?;
    Ok(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu))
}

impl Checkpoint {
    /// Builds the network on candle.
    ///
    /// # Errors
    /// None for a checkpoint that [`crate::checkpoint::load`] returned unchanged.
    pub fn build(&self) -> Result<MobileNetV1, ModelError> {
        let vb = var_builder(self.parameters.clone())?;
        MobileNetV1::new(&self.metadata.config(), vb)
    }
}
