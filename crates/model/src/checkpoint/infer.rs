//! Infers width, input channels, channel multiplier and classes from shapes.

use super::metadata::Metadata;
use super::resolve::Resolved;
use crate::architecture::{LayerName, Part, scaled_depth};
use crate::conv_defs::{ConvDef, MOBILENET_V1_CONV_DEFS};
use crate::endpoint::{Endpoint, LayerKind};
use crate::labels::Labels;

/// slim, transformers and timm have at least 8 channels in every layer. Keras has no such limit.
const MIN_DEPTHS: [usize; 2] = [8, 1];

/// Sets in the metadata what follows from the shapes.
///
/// # Errors
/// A sentence, if no width gives these numbers of channels.
pub(super) fn apply(resolved: &Resolved, metadata: &mut Metadata) -> Result<(), String> {
    let shape = |layer| resolved.weight_shape(layer);
    let body = |index, kind| shape(LayerName::Body(Endpoint { index, kind }));
    let stem = body(0, LayerKind::Conv);
    if let Some([_, in_channels, _, _]) = stem {
        metadata.in_channels = in_channels;
    }
    if let (Some([channels, ..]), Some([filters, ..])) = (stem, body(1, LayerKind::Depthwise))
        && channels > 0
        && filters > 0
        && filters % channels == 0
    {
        metadata.channel_multiplier = filters / channels;
    }
    metadata.classes = shape(LayerName::Logits)
        .map(|[classes, ..]| classes)
        .or_else(|| {
            let bias = resolved.get(LayerName::Logits, Part::Biases)?;
            bias.tensor.shape.first().copied()
        });
    metadata.labels = Labels::for_classes(metadata.classes.unwrap_or(0));

    // Channels at width 1 and channels found, for every layer that sets its own number of channels.
    let found: Vec<(usize, usize)> = MOBILENET_V1_CONV_DEFS
        .iter()
        .enumerate()
        .filter_map(|(index, def)| {
            let (depth, kind) = match *def {
                ConvDef::Conv { depth, .. } => (depth, LayerKind::Conv),
                ConvDef::DepthSepConv { depth, .. } => (depth, LayerKind::Pointwise),
            };
            body(index, kind).map(|[channels, ..]| (depth, channels))
        })
        .collect();
    let (width, min_depth) = MIN_DEPTHS
        .into_iter()
        .find_map(|min_depth| Some((width(&found, min_depth)?, min_depth)))
        .ok_or_else(|| {
            let channels: Vec<usize> = found.iter().map(|&(_, channels)| channels).collect();
            format!("no width multiplier of MobileNetV1 gives the output channels {channels:?}")
        })?;
    (metadata.width, metadata.min_depth) = (width, min_depth);
    Ok(())
}

/// The simplest width multiplier that gives all the channels found.
fn width(found: &[(usize, usize)], min_depth: usize) -> Option<f64> {
    let free = || found.iter().filter(|&&(_, channels)| channels > min_depth);
    let low = free()
        .map(|&(d, c)| c as f64 / d as f64)
        .fold(0.0, f64::max);
    let high = found
        .iter()
        .map(|&(d, c)| (c as f64 + 1.0) / d as f64)
        .fold(f64::INFINITY, f64::min);
    if found.is_empty() || low >= high {
        return None;
    }
    // Powers of one half first, then numbers with few decimals: people choose such widths.
    let powers = (0..8).map(|n| 0.5f64.powi(n));
    let decimals = (1..=6).filter_map(|digits| {
        let unit = 10f64.powi(digits);
        let rounded = (low * unit).ceil() / unit;
        (rounded < high).then_some(rounded)
    });
    powers
        .chain(decimals)
        .chain([low])
        .filter(|&width| width > 0.0)
        .find(|&width| {
            found
                .iter()
                .all(|&(depth, channels)| scaled_depth(depth, width, min_depth) == channels)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(width: f64, min_depth: usize) -> Vec<(usize, usize)> {
        MOBILENET_V1_CONV_DEFS
            .iter()
            .map(|def| {
                let (ConvDef::Conv { depth, .. } | ConvDef::DepthSepConv { depth, .. }) = *def;
                (depth, scaled_depth(depth, width, min_depth))
            })
            .collect()
    }

    #[test]
    fn the_width_that_was_typed_comes_back() {
        for typed in [
            1.0, 0.75, 0.5, 0.25, 0.125, 0.0625, 1.25, 2.0, 0.35, 0.3, 1.4,
        ] {
            assert_eq!(width(&channels(typed, 8), 8), Some(typed));
        }
        assert_eq!(width(&channels(0.03125, 1), 1), Some(0.03125));
        // All layers have the minimum, so any small width fits.
        let tiny = channels(0.001, 8);
        let found = width(&tiny, 8).unwrap();
        assert!(tiny.iter().all(|&(d, c)| scaled_depth(d, found, 8) == c));
    }

    #[test]
    fn other_networks_have_no_width() {
        assert_eq!(width(&[(32, 32), (64, 16), (128, 24)], 8), None);
        assert_eq!(width(&[], 8), None);
    }
}
