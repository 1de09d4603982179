//! Weights and biases of networks of integers from a file's quantised tensors.

use mobilenet_arrays::Element;
use mobilenet_kernels::ConvKind;
use mobilenet_kernels::integer::{Integers, QuantizedWeights};

use super::layout::Layout;
use super::readers::{NamedTensors, RawTensor, ReadError, check_bias_scales};
use crate::array::{Array, ShapeError, Values};

/// Weights in the order of networks of integers, and their shape `[out, in, rows, columns]`. The
/// file's are in a layout.
///
/// # Errors
/// If the tensor is missing, is not of 8-bit integers, or has scales along another axis than that
/// of output channels.
pub(super) fn weights_of(
    name: &str,
    layout: Layout,
    kind: ConvKind,
    file: &NamedTensors,
) -> Result<(QuantizedWeights, [usize; 4]), ReadError> {
    let wrong = |problem: String| ReadError::tensor(name, problem);
    let expected = || wrong("expected 8-bit integers with a scale".to_string());
    let tensor = file.tensors.get(name).ok_or_else(expected)?;
    let values = tensor.values.as_deref().ok_or_else(expected)?;
    let quantization = tensor.quantization.as_ref().ok_or_else(expected)?;
    let ours = layout.our_shape(&tensor.shape);
    let Ok(shape) = <[usize; 4]>::try_from(ours) else {
        return Err(wrong(format!("weights of shape {:?}", tensor.shape)));
    };
    let axis = match layout {
        Layout::Dense => 1,
        _ => 0,
    };
    let count = quantization.scales.len();
    if count != 1 && (quantization.axis != axis || count != shape[0]) {
        let (found, of) = (quantization.axis, &tensor.shape);
        return Err(wrong(format!(
            "{count} scales along axis {found} of {of:?}, expected them along axis {axis}"
        )));
    }
    let order = match kind {
        ConvKind::Conv => Layout::Ohwi,
        ConvKind::Depthwise => Layout::OneHwc,
    };
    let failed = |error: ShapeError| wrong(error.to_string());
    let values = match values {
        Values::U8(values) => {
            Integers::U8(ordered(tensor, values, [layout, order], &shape).map_err(failed)?)
        }
        Values::I8(values) => {
            Integers::I8(ordered(tensor, values, [layout, order], &shape).map_err(failed)?)
        }
        _ => return Err(expected()),
    };
    let mut zero_points = Vec::with_capacity(count);
    for index in 0..count {
        let zero_point = match quantization.zero_points.as_slice() {
            [one] => *one,
            many => many.get(index).copied().unwrap_or(0),
        };
        let zero_point = i32::try_from(zero_point);
        zero_points.push(zero_point.map_err(|error| wrong(format!("a zero point: {error}")))?);
    }
    let weights = QuantizedWeights {
        values,
        scales: quantization.scales.clone(),
        zero_points,
    };
    Ok((weights, shape))
}

fn ordered<T: Element>(
    tensor: &RawTensor,
    values: &[T],
    [from, to]: [Layout; 2],
    ours: &[usize],
) -> Result<Vec<T>, ShapeError> {
    let array = Array::new(tensor.shape.as_slice(), values.to_vec())?;
    Ok(to.to_source(from.to_ours(array, ours)?, 1)?.into_values())
}

/// Biases in 32 bits.
///
/// # Errors
/// If the tensor is missing or has other values.
pub(super) fn biases<'a>(name: &str, file: &'a NamedTensors) -> Result<&'a [i32], ReadError> {
    let tensor = file.tensors.get(name);
    match tensor.and_then(|tensor| tensor.values.as_deref()) {
        Some(Values::I32(bias)) => Ok(bias),
        _ => Err(ReadError::tensor(
            name,
            "expected 32-bit integers with a scale",
        )),
    }
}

/// Biases in units of the input's scale times the weights'. Those that are numbers are rounded to
/// these; none are zeros.
///
/// # Errors
/// If they are missing, of another length, or of other scales.
pub(super) fn bias_of(
    name: Option<&str>,
    channels: usize,
    input: f32,
    weights: &QuantizedWeights,
    file: &NamedTensors,
) -> Result<Vec<i32>, ReadError> {
    let Some(name) = name else {
        return Ok(vec![0; channels]);
    };
    let tensor = file.tensors.get(name);
    let tensor = tensor.ok_or_else(|| ReadError::tensor(name, "missing"))?;
    let bias = match &tensor.quantization {
        Some(quantization) => {
            check_bias_scales(name, &quantization.scales, input, &weights.scales)?;
            if quantization.zero_points.iter().any(|&zero| zero != 0) {
                return Err(ReadError::tensor(name, "biases must have the zero point 0"));
            }
            biases(name, file)?.to_vec()
        }
        None => {
            let numbers = tensor.to_f64();
            let numbers = numbers.ok_or_else(|| ReadError::tensor(name, "no numbers"))?;
            let unit = |channel| f64::from(input) * f64::from(weights.scale(channel));
            let integers = numbers.iter().enumerate();
            let integers = integers.map(|(channel, bias)| (bias / unit(channel)).round());
            // NaN is in no range.
            let is_integer = |bias: &f64| (-LARGEST_BIAS..=LARGEST_BIAS).contains(bias);
            let integers: Vec<f64> = integers.collect();
            if !integers.iter().all(is_integer) {
                return Err(ReadError::tensor(name, "biases that do not fit 32 bits"));
            }
            integers.iter().map(|&bias| bias as i32).collect()
        }
    };
    match bias.len() {
        found if found == channels => Ok(bias),
        found => Err(ReadError::tensor(
            name,
            format!("{found} biases, expected {channels}"),
        )),
    }
}

const LARGEST_BIAS: f64 = i32::MAX as f64;
