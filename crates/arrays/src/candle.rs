//! Arrays as candle's tensors.

use candle_core::{Device, Error, Result, Tensor};

use crate::array::Array;

impl TryFrom<Array> for Tensor {
    type Error = Error;

    fn try_from(array: Array) -> Result<Self> {
        let shape = array.shape().to_vec();
        Self::from_vec(array.into_values(), shape, &Device::Cpu)
    }
}

impl TryFrom<&Array> for Tensor {
    type Error = Error;

    fn try_from(array: &Array) -> Result<Self> {
        Self::from_slice(array.values(), array.shape(), &Device::Cpu)
    }
}
