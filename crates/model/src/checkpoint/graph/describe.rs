//! Metadata from a graph: epsilon, activation, padding, input range.

use mobilenet_kernels::ConvGeometry;

use super::affine::Affine;
use super::facts::Facts;
use crate::architecture::body_layers;
use crate::checkpoint::metadata::{Metadata, SavedActivation};
use crate::config::PaddingRule;
use crate::preprocess::Preprocessing;

/// Smaller scales mean that the network takes samples from 0 to 255 and scales them itself.
const OF_BYTES: f64 = 1.0 / 32.0;

/// Completes metadata whose width and channels are known, except activation and padding. What had
/// to be assumed is added to `assumed`.
///
/// # Errors
/// A sentence, if the graph does what our network cannot.
pub(in crate::checkpoint) fn apply(
    facts: &Facts,
    metadata: &mut Metadata,
    assumed: &mut Vec<String>,
) -> Result<(), String> {
    metadata.folded = facts.epsilon.is_none();
    metadata.batch_norm_epsilon = facts.epsilon.unwrap_or(metadata.batch_norm_epsilon);
    metadata.global_pool = true;
    if let Some(size) = facts.size {
        metadata.preprocessing.size = size;
    }
    input_range(facts, metadata, assumed)?;
    check_pool(facts, metadata)
}

/// The activation, which must be the same after all layers.
///
/// # Errors
/// A sentence, if it is not supported, or differs between layers.
pub(in crate::checkpoint) fn activation(facts: &Facts) -> Result<SavedActivation, String> {
    let names = facts
        .activations
        .iter()
        .map(|name| name.as_deref().unwrap_or("no activation"));
    let mut activations = names.map(|name| {
        SavedActivation::of_name(name).ok_or_else(|| {
            format!("activation `{name}` is not supported, only ReLU6 and ReLU (it can be told)")
        })
    });
    let first = activations.next().unwrap_or(Ok(SavedActivation::Relu6))?;
    for other in activations {
        if other? != first {
            return Err("some layers have ReLU and some ReLU6".to_string());
        }
    }
    Ok(first)
}

/// Sets mean and standard deviation so that `(pixel - mean) / std`, for pixels between 0 and 1, is
/// the input of the first convolution.
fn input_range(
    facts: &Facts,
    metadata: &mut Metadata,
    assumed: &mut Vec<String>,
) -> Result<(), String> {
    let channels = metadata.in_channels;
    let Preprocessing { mean, std, .. } = &mut metadata.preprocessing;
    if let Some(samples) = facts.samples {
        *mean = vec![samples.zero_point as f32 / 255.0; channels];
        *std = vec![1.0 / (255.0 * samples.scale); channels];
    } else if let Some(Affine { scale, offset }) = &facts.affine {
        let white = if scale.iter().all(|scale| scale.abs() < OF_BYTES) {
            255.0
        } else {
            1.0
        };
        let pairs = scale.iter().zip(offset).cycle().take(channels);
        let (means, stds): (Vec<f32>, Vec<f32>) = pairs
            .map(|(scale, offset)| {
                let factor = scale * white;
                ((-offset / factor) as f32, (1.0 / factor) as f32)
            })
            .unzip();
        (*mean, *std) = (means, stds);
    } else {
        *mean = vec![mean.first().copied().unwrap_or(0.5); channels];
        *std = vec![std.first().copied().unwrap_or(0.5); channels];
        let (low, high) = ((0.0 - mean[0]) / std[0], (1.0 - mean[0]) / std[0]);
        assumed.push(format!(
            "input range {low} to {high}: the file does not say"
        ));
    }
    let usable = mean.iter().all(|mean| mean.is_finite()) && std.iter().all(|std| std.is_normal());
    if usable {
        Ok(())
    } else {
        Err(format!("an input of mean {mean:?} and deviation {std:?}"))
    }
}

/// The rule with the graph's paddings: literally, or else with equal sizes at the graph's image
/// size.
///
/// # Errors
/// A sentence, if no rule fits.
pub(in crate::checkpoint) fn padding(
    facts: &Facts,
    metadata: &Metadata,
) -> Result<PaddingRule, String> {
    let rules = [PaddingRule::Same, PaddingRule::Explicit, PaddingRule::Keras];
    let mut problem = String::new();
    for literally in [true, false] {
        for rule in rules {
            match fits(facts, metadata, rule, literally) {
                Ok(()) => return Ok(rule),
                Err(found) => problem = found,
            }
        }
    }
    Err(problem)
}

fn fits(
    facts: &Facts,
    metadata: &Metadata,
    rule: PaddingRule,
    literally: bool,
) -> Result<(), String> {
    let mut base = metadata.config().base;
    base.padding = rule;
    let layers = body_layers(&base).map_err(|error| error.to_string())?;
    let mut size = metadata.preprocessing.size;
    for (layer, window) in layers.iter().zip(&facts.windows) {
        let name = layer.endpoint;
        let ConvGeometry {
            kernel,
            stride,
            dilation,
            ..
        } = layer.geometry;
        if (window.kernel, window.stride, window.dilation) != (kernel, stride, dilation) {
            return Err(format!(
                "{name} has kernel {:?}, stride {} and dilation {}, expected {kernel:?}, {stride} \
                 and {dilation}",
                window.kernel, window.stride, window.dilation
            ));
        }
        let resolve = |geometry: &ConvGeometry| {
            let [rows, columns] = size;
            geometry
                .resolve(1, rows, columns)
                .map_err(|error| format!("{name}: {error}"))
        };
        let (found, expected) = (resolve(window)?, resolve(&layer.geometry)?);
        let same = window.padding == layer.geometry.padding;
        // At stride 1, different rules describe the same padding.
        if found != expected || (literally && stride > 1 && !same) {
            return Err(format!("{name} pads as no rule does: {:?}", window.padding));
        }
        size = [found.rows.output, found.columns.output];
    }
    Ok(())
}

/// Checks that the head averages the whole map.
fn check_pool(facts: &Facts, metadata: &Metadata) -> Result<(), String> {
    let Some(window) = facts.pool else {
        return Ok(());
    };
    let [mut rows, mut columns] = metadata.preprocessing.size;
    for geometry in &facts.windows {
        let size = geometry
            .resolve(1, rows, columns)
            .map_err(|error| error.to_string())?;
        (rows, columns) = (size.rows.output, size.columns.output);
    }
    if window == [rows, columns] {
        return Ok(());
    }
    Err(format!(
        "a pool of {window:?} on a map of {:?}: only the whole map is supported",
        [rows, columns]
    ))
}
