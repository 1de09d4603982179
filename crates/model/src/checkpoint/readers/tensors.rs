//! The result of a reader: named tensors, as the file stores them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use mobilenet_arrays::quantized::Quantization;

use super::{Budget, ReadError, graph};
use crate::array::{Dtype, Values};
use crate::buffer::Buffer;

/// A tensor as the file stores it.
#[derive(Debug, Clone, Default)]
pub struct RawTensor {
    /// Name of the dtype in the file.
    pub dtype: String,
    /// Shape, in the file's layout.
    pub shape: Vec<usize>,
    /// Floating-point or quantised values. `None` for other dtypes, which parameters do not have.
    /// Shared, because a file can give one tensor several names.
    pub values: Option<Arc<Values>>,
    /// Scales and zero points, if the values are quantised.
    pub quantization: Option<Quantization>,
}

impl RawTensor {
    /// A tensor that is not quantised.
    pub(crate) fn new(dtype: impl Into<String>, shape: Vec<usize>, values: Option<Values>) -> Self {
        Self {
            dtype: dtype.into(),
            shape,
            values: values.map(Arc::new),
            quantization: None,
        }
    }

    /// The values as f32, dequantised if necessary.
    pub fn to_f32(&self) -> Option<Cow<'_, [f32]>> {
        let values = self.values.as_ref()?;
        Some(match &self.quantization {
            None => values.to_f32(),
            Some(quantization) => quantization.dequantize(values, &self.shape).into(),
        })
    }

    /// [`Self::to_f32`] without a copy, if nobody else holds f32 values of this tensor.
    pub(in crate::checkpoint) fn into_f32(mut self) -> Option<Buffer<f32>> {
        let values = Arc::try_unwrap(self.values.take()?);
        match (values, &self.quantization) {
            (Ok(Values::F32(values)), None) => Some(values),
            (values, _) => {
                self.values = Some(values.map_or_else(|shared| shared, Arc::new));
                Some(self.to_f32()?.into_owned().into())
            }
        }
    }

    /// The value of a tensor with a single one.
    pub(crate) fn scalar(&self) -> Option<f64> {
        match self.values.as_ref()?.len() {
            1 => self.to_f64()?.first().copied(),
            _ => None,
        }
    }

    /// The values as f64. Quantised ones are first dequantised to f32.
    pub(crate) fn to_f64(&self) -> Option<Vec<f64>> {
        match (&self.quantization, &self.values) {
            (None, values) => values.as_ref().map(|values| values.to_f64()),
            (Some(_), _) => Some(self.to_f32()?.iter().map(|&v| v.into()).collect()),
        }
    }
}

/// All tensors of a file, and what else it says of the network.
#[derive(Debug, Clone, Default)]
pub struct NamedTensors {
    /// Tensors by name.
    pub tensors: BTreeMap<String, RawTensor>,
    /// Text by key: safetensors' `__metadata__`, ONNX's `metadata_props`, TFLite's named
    /// buffers that hold text.
    pub metadata: BTreeMap<String, String>,
    /// Epsilons of batch normalisation, by the name of the graph's node.
    pub epsilons: BTreeMap<String, f64>,
    /// Names of the classes, where the file has them.
    pub(crate) labels: Option<Vec<String>>,
    /// The network, where the file describes it.
    pub(crate) graph: Option<graph::Graph>,
}

impl NamedTensors {
    pub(super) fn insert(&mut self, name: String, tensor: RawTensor) -> Result<(), ReadError> {
        if self.tensors.contains_key(&name) {
            return Err(ReadError::tensor(name, "appears twice"));
        }
        self.tensors.insert(name, tensor);
        Ok(())
    }

    /// Removes the suffix `:0` of names: TensorFlow appends the number of an operation's output.
    pub(in crate::checkpoint) fn strip_output_numbers(&mut self) {
        let numbered: Vec<String> = self
            .tensors
            .keys()
            .filter(|name| name.ends_with(":0"))
            .cloned()
            .collect();
        for name in numbered {
            let plain = name.trim_end_matches(":0");
            if !self.tensors.contains_key(plain)
                && let Some(tensor) = self.tensors.remove(&name)
            {
                self.tensors.insert(plain.to_string(), tensor);
            }
        }
    }
}

/// Number of values of a shape. An overflow is an error that names the tensor. Strides cannot
/// overflow either, not even those of an empty tensor.
pub(super) fn volume(name: &str, shape: &[usize]) -> Result<usize, ReadError> {
    let volume = shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size.max(1)))
        .ok_or_else(|| ReadError::tensor(name, format!("shape {shape:?} overflows")))?;
    Ok(if shape.contains(&0) { 0 } else { volume })
}

/// Checks that biases have the scale of the input times that of the weights: otherwise they would
/// mean other numbers than the sums to which they are added.
pub(in crate::checkpoint) fn check_bias_scales(
    name: &str,
    biases: &[f32],
    input: f32,
    weights: &[f32],
) -> Result<(), ReadError> {
    if biases.len() != weights.len() {
        let (found, expected) = (biases.len(), weights.len());
        let problem = format!("{found} scales of biases, expected {expected}");
        return Err(ReadError::tensor(name, problem));
    }
    for (&bias, &scale) in biases.iter().zip(weights) {
        let expected = f64::from(input) * f64::from(scale);
        let fits = (f64::from(bias) - expected).abs() <= MOST_BIAS_ERROR * expected;
        if !fits {
            let problem = format!("a bias scale of {bias:e}, expected {expected:e}");
            return Err(ReadError::tensor(name, problem));
        }
    }
    Ok(())
}

/// Relative error of a bias' scale. Converters write it to the last bit or two.
const MOST_BIAS_ERROR: f64 = 0.02;

/// Converts little-endian bytes to values, within the budget.
pub(super) fn from_le_bytes(
    name: &str,
    bytes: &[u8],
    dtype: Dtype,
    shape: &[usize],
    budget: &mut Budget,
) -> Result<Values, ReadError> {
    let expected = volume(name, shape)?.checked_mul(dtype.bytes());
    if expected != Some(bytes.len()) {
        let found = bytes.len();
        let problem = format!("shape {shape:?} of {dtype:?} does not fit its {found} bytes");
        return Err(ReadError::tensor(name, problem));
    }
    budget.take(name, bytes.len() as u64)?;
    Ok(Values::from_le_bytes(dtype, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: Values, quantization: Quantization) -> Vec<f32> {
        let tensor = RawTensor {
            quantization: Some(quantization),
            ..RawTensor::new("", vec![2, 3], Some(values))
        };
        tensor.to_f32().unwrap().into_owned()
    }

    #[test]
    fn zero_points_are_of_all_values_or_of_an_axis() {
        let quantization = Quantization {
            scales: vec![0.5],
            zero_points: vec![128],
            axis: 0,
        };
        let values = Values::U8(vec![128, 129, 126, 0, 255, 128]);
        let expected = [0.0, 0.5, -1.0, -64.0, 63.5, 0.0];
        assert_eq!(numbers(values, quantization), expected);

        let along = |axis, scales: &[f32], zero_points: &[i64]| {
            let quantization = Quantization {
                scales: scales.to_vec(),
                zero_points: zero_points.to_vec(),
                axis,
            };
            numbers(Values::I8(vec![1, 2, 3, 4, 5, 6]), quantization)
        };
        let rows = along(0, &[1.0, 10.0], &[0, 4]);
        assert_eq!(rows, [1.0, 2.0, 3.0, 0.0, 10.0, 20.0]);
        let columns = along(1, &[1.0, 2.0, 4.0], &[1]);
        assert_eq!(columns, [0.0, 2.0, 8.0, 3.0, 8.0, 20.0]);
    }
}
