//! Which layers can be packed: sizes, channels that go together, weights in the range of their type.

use super::packed::{BranchShape, LayerShape};
use crate::error::{KernelError, check_length, volume};
use crate::network::ConvKind;
use crate::simd::WeightType;

/// Checks that a layer is possible, and that it can follow the one before.
pub(super) fn check_shape(
    shape: &LayerShape,
    before: Option<&LayerShape>,
) -> Result<(), KernelError> {
    let [rows, columns] = shape.geometry.kernel;
    let (inputs, outputs) = (shape.in_channels, shape.out_channels);
    for (what, size) in [
        ("channels", inputs),
        ("channels", outputs),
        ("kernel size", rows),
        ("kernel size", columns),
    ] {
        if size == 0 {
            return Err(KernelError::Zero { what });
        }
    }
    volume("weights", &[rows, columns, inputs])?;
    if let Some(before) = before {
        check_length("channels of the next layer", inputs, &[before.out_channels])?;
    }
    if shape.kind == ConvKind::Depthwise {
        check_length("channels of a depthwise layer", outputs, &[inputs])?;
    }
    Ok(())
}

/// The layer that a branch reads, if it is one that branches can read.
pub(super) fn read_by<'a>(
    branch: &BranchShape,
    shapes: &'a [LayerShape],
) -> Result<&'a LayerShape, KernelError> {
    let read = shapes.get(branch.reads);
    let read = read.ok_or(KernelError::Length {
        what: "layers",
        expected: branch.reads.saturating_add(1),
        found: shapes.len(),
    })?;
    match branch.shape.kind == ConvKind::Conv && branch.shape.geometry.is_pointwise() {
        true => Ok(read),
        false => Err(KernelError::Unsupported {
            what: "a branch that is no convolution of single pixels",
        }),
    }
}

/// Checks that the largest weight of each output, once it is scaled, stays finite in its type, if it
/// is finite as f32. There are `depth` weights for each output.
pub(super) fn check_range(
    weights: &[f32],
    depth: usize,
    scaled: impl Fn(usize, f32) -> f32,
    weight_type: WeightType,
) -> Result<(), KernelError> {
    if weight_type == WeightType::F32 {
        return Ok(());
    }
    for (output, weights) in weights.chunks(depth).enumerate() {
        let largest = weights.iter().fold(0f32, |largest, w| largest.max(w.abs()));
        let largest = scaled(output, largest).abs();
        if largest.is_finite() && !weight_type.round(largest).is_finite() {
            return Err(KernelError::WeightRange {
                weight: largest.to_string(),
                weight_type,
            });
        }
    }
    Ok(())
}
