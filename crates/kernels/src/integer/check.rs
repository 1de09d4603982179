//! Checks a network before it is packed, and finds the shapes of its outputs.

use super::network::{
    Arithmetic, IntegerLayer, IntegerNetwork, IntegerOperation, IntegerType, Quantized,
    QuantizedConvolution, ValueKind,
};
use crate::error::{KernelError, volume};
use crate::geometry::ConvGeometry;
use crate::network::ConvKind;

/// Checks that a layer's bits are known in an arithmetic.
///
/// # Errors
/// If they are not.
pub(super) fn check_arithmetic(
    layer: &IntegerLayer,
    input: ValueKind,
    arithmetic: Arithmetic,
) -> Result<(), KernelError> {
    let unsigned = |kind: ValueKind| matches!(kind, ValueKind::Quantized(quantized) if quantized.integer == IntegerType::U8);
    let known = match &layer.operation {
        _ if arithmetic != Arithmetic::Optimized => true,
        IntegerOperation::Convolution(convolution) => {
            unsigned(input)
                && !convolution.fully_connected
                && convolution.weights.values.integer() == IntegerType::U8
        }
        IntegerOperation::AveragePool(_) | IntegerOperation::Softmax { .. } => unsigned(input),
        IntegerOperation::Flatten | IntegerOperation::Dequantize => true,
        IntegerOperation::Quantize | IntegerOperation::Mean => false,
    };
    match known {
        true => Ok(()),
        false => Err(error(
            &layer.name,
            "TFLite's optimised arithmetic is known for convolutions of unsigned integers only",
        )),
    }
}

/// Most values of one activation: 64 Mi, far beyond those of an image of 4096 x 4096.
const MOST_VALUES: usize = 1 << 26;

impl IntegerNetwork {
    /// Checks everything that a program relies on. Returns rows, columns and channels of each
    /// layer's output for images of `size` rows and columns.
    ///
    /// # Errors
    /// [`KernelError::Layer`] names the first layer that cannot be computed.
    pub fn shapes(&self, size: [usize; 2]) -> Result<Vec<[usize; 3]>, KernelError> {
        let [_, _, channels] = self.input_shape;
        let mut shape = [size[0], size[1], channels];
        check_shape("input", shape)?;
        check_kind("input", &self.input)?;
        let mut kind = self.input;
        let mut shapes = Vec::new();
        for layer in &self.layers {
            check_kind(&layer.name, &layer.output)?;
            shape = check(layer, shape, kind)?;
            check_shape(&layer.name, shape)?;
            kind = layer.output;
            shapes.push(shape);
        }
        Ok(shapes)
    }
}

pub(super) fn error(layer: &str, problem: impl ToString) -> KernelError {
    KernelError::Layer {
        layer: layer.to_string(),
        problem: problem.to_string(),
    }
}

pub(super) fn check_shape(layer: &str, shape: [usize; 3]) -> Result<(), KernelError> {
    match volume("activation", &shape) {
        Ok(1..=MOST_VALUES) => Ok(()),
        _ => Err(error(layer, format!("no map can have the shape {shape:?}"))),
    }
}

/// Scales are positive, normal numbers: with others, requantisation divides by 0 or overflows.
fn check_scale(layer: &str, what: &str, scale: f32) -> Result<(), KernelError> {
    if scale.is_normal() && scale > 0.0 && scale < MOST_SCALE {
        return Ok(());
    }
    let problem = format!("{what}'s scale must be from 1e-38 to 1e9, found {scale:e}");
    Err(error(layer, problem))
}

/// No activation or weight of a network is that large.
const MOST_SCALE: f32 = 1e9;

/// Fixed-point softmax has 26 bits behind the point.
const LEAST_STEP: f32 = 1.0 / (1 << 25) as f32;

fn check_zero_point(
    layer: &str,
    what: &str,
    integer: IntegerType,
    zero_point: i32,
) -> Result<(), KernelError> {
    let range = integer.min()..=integer.max();
    if range.contains(&zero_point) {
        return Ok(());
    }
    let problem = format!("{what}'s zero point must be in {range:?}, found {zero_point}");
    Err(error(layer, problem))
}

pub(super) fn check_kind(layer: &str, kind: &ValueKind) -> Result<(), KernelError> {
    match kind {
        ValueKind::F32 => Ok(()),
        ValueKind::Quantized(quantized) => {
            check_scale(layer, "the output", quantized.scale)?;
            check_zero_point(layer, "the output", quantized.integer, quantized.zero_point)
        }
    }
}

pub(super) fn check(
    layer: &IntegerLayer,
    shape: [usize; 3],
    input: ValueKind,
) -> Result<[usize; 3], KernelError> {
    let error = |problem: &str| Err(error(&layer.name, problem));
    let [height, width, channels] = shape;
    let (input, output) = match (&layer.operation, input, layer.output) {
        (IntegerOperation::Quantize, _, ValueKind::Quantized(_)) => return Ok(shape),
        (IntegerOperation::Dequantize, ValueKind::Quantized(_), ValueKind::F32) => {
            return Ok(shape);
        }
        (IntegerOperation::Flatten, input, output) if input == output => {
            return Ok([1, 1, height * width * channels]);
        }
        (IntegerOperation::Flatten, ..) => return error("its output has another meaning"),
        (_, ValueKind::Quantized(input), ValueKind::Quantized(output)) => (input, output),
        _ => return error("its input and output must be integers"),
    };
    match &layer.operation {
        IntegerOperation::Convolution(convolution) => {
            let context = || error_of(&layer.name);
            check_convolution(&layer.name, convolution, channels)?;
            if convolution.weights.values.integer() == IntegerType::U8
                && input.integer != IntegerType::U8
            {
                return error("unsigned weights need unsigned activations");
            }
            if input.integer != output.integer {
                return error("input and output are of different types");
            }
            window(&convolution.geometry, shape, convolution.out_channels).map_err(context())
        }
        IntegerOperation::AveragePool(geometry) => {
            if input != output {
                return error("a pool's output must have its input's scale and zero point");
            }
            window(geometry, shape, channels).map_err(error_of(&layer.name))
        }
        IntegerOperation::Mean if input.integer != output.integer => {
            error("input and output are of different types")
        }
        IntegerOperation::Mean => Ok([1, 1, channels]),
        IntegerOperation::Softmax { beta } => {
            let step = beta * input.scale;
            if !(LEAST_STEP..MOST_SCALE).contains(&step) {
                return error(&format!("logits cannot be {step:e} apart"));
            }
            check_softmax(&layer.name, output)?;
            Ok(shape)
        }
        _ => error("its input and output must be integers"),
    }
}

/// Probabilities: TFLite's format fixes a scale of 1/256; ONNX Runtime's quantiser has 1/255.
fn check_softmax(layer: &str, output: Quantized) -> Result<(), KernelError> {
    let scales = [1.0 / 256.0, 1.0 / 255.0];
    if scales.contains(&output.scale) && output.zero_point == output.integer.min() {
        return Ok(());
    }
    let problem = format!(
        "a softmax has the scale 1/256 or 1/255 and the zero point {}, found {} and {}",
        output.integer.min(),
        output.scale,
        output.zero_point
    );
    Err(error(layer, problem))
}

fn error_of(layer: &str) -> impl FnOnce(KernelError) -> KernelError {
    move |cause| error(layer, cause)
}

fn window(
    geometry: &ConvGeometry,
    [height, width, _]: [usize; 3],
    channels: usize,
) -> Result<[usize; 3], KernelError> {
    let size = geometry.resolve(1, height, width)?;
    Ok([size.rows.output, size.columns.output, channels])
}

fn check_convolution(
    layer: &str,
    convolution: &QuantizedConvolution,
    channels: usize,
) -> Result<(), KernelError> {
    let QuantizedConvolution {
        kind,
        geometry,
        out_channels,
        weights,
        bias,
        ..
    } = convolution;
    let [rows, columns] = geometry.kernel;
    let depth = match kind {
        ConvKind::Conv => channels,
        ConvKind::Depthwise if out_channels % channels == 0 => 1,
        ConvKind::Depthwise => {
            let problem = format!("{out_channels} output channels of {channels} input channels");
            return Err(error(layer, problem));
        }
    };
    let length = |what: &'static str, found: usize, expected: usize| {
        if found == expected {
            return Ok(());
        }
        Err(error(layer, format!("{found} {what}, expected {expected}")))
    };
    let expected = volume("weights", &[*out_channels, rows, columns, depth])?;
    if expected == 0 {
        return Err(error(layer, "it has no weights"));
    }
    length("weights", weights.values.len(), expected)?;
    length("biases", bias.len(), *out_channels)?;
    if weights.scales.len() != 1 {
        length("scales of weights", weights.scales.len(), *out_channels)?;
    }
    let scales = weights.scales.len();
    length("zero points of weights", weights.zero_points.len(), scales)?;
    for &scale in &weights.scales {
        check_scale(layer, "the weights", scale)?;
    }
    let integer = weights.values.integer();
    for &zero_point in &weights.zero_points {
        check_zero_point(layer, "the weights", integer, zero_point)?;
    }
    Ok(())
}
