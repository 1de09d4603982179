//! Constants of integers, which `DequantizeLinear` nodes give scales and zero points.

use std::collections::{BTreeMap, BTreeSet};

use mobilenet_kernels::integer::{IntegerType, Quantized};

use crate::array::{Dtype, Values};
use crate::checkpoint::readers::{
    Budget, NamedTensors, Quantization, RawTensor, ReadError, from_le_bytes, volume,
};

/// Constants of integers by name, and the constants that are scales of others.
#[derive(Debug, Default)]
pub(super) struct QuantizedConstants {
    integers: BTreeMap<String, RawTensor>,
    scales: BTreeSet<String>,
}

/// The type of a constant, if it may be quantised.
pub(super) fn integer_dtype(data_type: u64) -> Option<Dtype> {
    match data_type {
        2 => Some(Dtype::U8),
        3 => Some(Dtype::I8),
        6 => Some(Dtype::I32),
        _ => None,
    }
}

fn one<T: Copy>(values: &[T]) -> Option<T> {
    match values {
        &[value] => Some(value),
        _ => None,
    }
}

impl QuantizedConstants {
    /// Keeps a constant of integers.
    pub(super) fn insert(
        &mut self,
        name: &str,
        dtype: Dtype,
        bytes: &[u8],
        shape: &[usize],
        budget: &mut Budget,
    ) -> Result<(), ReadError> {
        let values = from_le_bytes(name, bytes, dtype, shape, budget)?;
        // They may be converted to f32 later.
        budget.take(name, 4 * volume(name, shape)? as u64)?;
        let tensor = RawTensor::new(format!("{dtype:?}"), shape.to_vec(), Some(values));
        self.integers.insert(name.to_string(), tensor);
        Ok(())
    }

    /// The constant that a `DequantizeLinear` node makes of another. `None` where its input is no
    /// constant.
    ///
    /// # Errors
    /// If scale or zero point are none, or do not fit.
    pub(super) fn dequantized(
        &mut self,
        inputs: &[&str],
        axis: i64,
        named: &NamedTensors,
    ) -> Result<Option<RawTensor>, String> {
        let tensor = self.with_scales(inputs, axis, named)?;
        if let (Some(_), Some(scale)) = (&tensor, inputs.get(1)) {
            self.forget_later(scale);
        }
        Ok(tensor)
    }

    /// A constant of integers with scale and zero point: the three inputs. `None` where the first
    /// is no constant.
    ///
    /// # Errors
    /// If scale or zero point are none, or do not fit.
    pub(super) fn with_scales(
        &self,
        inputs: &[&str],
        axis: i64,
        named: &NamedTensors,
    ) -> Result<Option<RawTensor>, String> {
        let &[integers, scale, ref zero_point @ ..] = inputs else {
            return Err("an input is missing".to_string());
        };
        let Some(tensor) = self.integers.get(integers) else {
            return Ok(None);
        };
        let scales = named.tensors.get(scale).and_then(RawTensor::to_f32);
        let scales = scales.ok_or_else(|| format!("its scale `{scale}` is no constant"))?;
        let zero_points = match zero_point.first().filter(|name| !name.is_empty()) {
            None => Vec::new(),
            Some(name) => {
                let constant = self.integers.get(*name).and_then(RawTensor::to_f64);
                let constant = constant.ok_or_else(|| format!("`{name}` is no constant"))?;
                constant.iter().map(|&point| point as i64).collect()
            }
        };
        let (count, rank) = (scales.len(), tensor.shape.len() as i64);
        let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).unwrap_or(usize::MAX);
        let along = count == 1 || tensor.shape.get(axis) == Some(&count);
        if count == 0 || !along || !(zero_points.is_empty() || zero_points.len() == count) {
            return Err(format!(
                "{count} scales and {} zero points along axis {axis} of {:?}",
                zero_points.len(),
                tensor.shape
            ));
        }
        Ok(Some(RawTensor {
            quantization: Some(Quantization {
                scales: scales.into_owned(),
                zero_points,
                axis,
            }),
            ..tensor.clone()
        }))
    }

    /// What the integers of an activation mean: a scale, and a zero point, whose type is theirs.
    /// `None` if these are no constants for 8-bit integers.
    pub(super) fn meaning(
        &self,
        scale: &str,
        zero_point: Option<&str>,
        named: &NamedTensors,
    ) -> Option<Quantized> {
        let scale = named.tensors.get(scale)?.scalar()? as f32;
        let zero_point = match zero_point.filter(|name| !name.is_empty()) {
            None => (IntegerType::U8, 0),
            Some(name) => match self.integers.get(name)?.values.as_deref()? {
                Values::U8(values) => (IntegerType::U8, one(values)?.into()),
                Values::I8(values) => (IntegerType::I8, one(values)?.into()),
                _ => return None,
            },
        };
        Some(Quantized {
            integer: zero_point.0,
            scale,
            zero_point: zero_point.1,
        })
    }

    /// Biases in 32 bits, whose scales an operator on integers leaves out.
    pub(super) fn biases(&self, name: &str, scales: Vec<f32>) -> Option<RawTensor> {
        let tensor = self.integers.get(name)?;
        Some(RawTensor {
            quantization: Some(Quantization {
                scales,
                zero_points: Vec::new(),
                axis: 0,
            }),
            ..tensor.clone()
        })
    }

    /// Marks a constant as the scale of another.
    pub(super) fn forget_later(&mut self, scale: &str) {
        self.scales.insert(scale.to_string());
    }

    /// Removes the values of scales, which are no parameters.
    pub(super) fn forget_scales(&self, named: &mut NamedTensors) {
        for scale in &self.scales {
            if let Some(tensor) = named.tensors.get_mut(scale) {
                tensor.values = None;
            }
        }
    }
}
