//! Layers with their sizes, and what follows from these: strides, bands of rows, and how threads
//! divide an operation.

use super::config::ProgramConfig;
use super::depthwise::Depthwise;
use super::feature_map::{FeatureMap, MOST_TAPS, columns_of_zeros};
use super::matrix::MatrixProduct;
use super::packed::{PackedLayer, PackedWeights, Scheme};
use super::separable::{Separable, Split};
use super::strassen;
use crate::error::KernelError;
use crate::geometry::ConvSize;
use crate::network::ConvKind;
use crate::panels::PanelLayout;
use crate::simd;

/// Bytes of a value.
pub(super) const VALUE: usize = size_of::<f32>();

/// Values between the pixels of a map beyond their channels. Without a gap, strides that are powers
/// of two would put the same channel of neighbouring pixels into the same few sets of the L1 cache.
pub(super) const PIXEL_GAP: usize = 16;

/// Number of channels below which there is no gap. The strides are short enough there, and the
/// hardware's prefetching would read the gap, too. Measured on Zen 5 (width 1.0, 224x224, one
/// thread): block 1, which has 32 channels, takes 0.35 ms without and 0.40 ms with a gap. From 64
/// channels on, no difference was seen.
const FEWEST_WITH_GAP: usize = 64;

/// Values of the depthwise result that one band keeps for the pointwise convolution: half of a
/// small L2 (512 KiB). The other half is for weights.
const BAND_VALUES: usize = 64 << 10;

/// Pixels per thread below which a layer is split by channels: for two tiles, reading all weights
/// does not pay.
const FEWEST_PIXELS: usize = 28;

/// A layer with its sizes.
pub(super) struct Sized {
    pub(super) layer: PackedLayer,
    pub(super) size: ConvSize,
}

/// The layers that a program runs.
pub(super) fn sized_layers(
    weights: &PackedWeights,
    config: &ProgramConfig,
) -> Result<Vec<Sized>, KernelError> {
    if config.geometries.len() > weights.layers.len() {
        return Err(KernelError::Length {
            what: "geometries",
            expected: weights.layers.len(),
            found: config.geometries.len(),
        });
    }
    let (mut height, mut width) = (config.height, config.width);
    let mut layers = Vec::new();
    for (layer, geometry) in weights.layers.iter().zip(&config.geometries) {
        let [rows, columns] = geometry.kernel;
        if geometry.kernel != layer.kernel || rows * columns > MOST_TAPS {
            return Err(KernelError::Length {
                what: "kernel",
                expected: (layer.kernel[0] * layer.kernel[1]).min(MOST_TAPS),
                found: rows * columns,
            });
        }
        let size = geometry.resolve(1, height, width)?;
        (height, width) = (size.rows.output, size.columns.output);
        layers.push(Sized {
            layer: *layer,
            size,
        });
    }
    Ok(layers)
}

impl Sized {
    /// The map that it writes for the next layer, if there is one. Its start is not known yet.
    pub(super) fn output(&self, next: Option<&Self>, lanes: usize) -> FeatureMap {
        let (left, right) = next.map_or((0, 0), |next| columns_of_zeros(&next.size));
        FeatureMap {
            start: 0,
            value: VALUE,
            height: self.size.rows.output,
            width: self.size.columns.output,
            channels: self.layer.out_channels,
            left,
            right,
            pixel: pixel_stride(self.layer.out_channels, lanes),
        }
    }

    /// Whether it is a matrix product of whole pixels.
    pub(super) fn is_pointwise(&self) -> bool {
        let whole = |axis: &crate::geometry::Axis| {
            axis.stride == 1 && axis.before == 0 && axis.input == axis.output
        };
        self.layer.kind == ConvKind::Conv
            && self.layer.kernel == [1, 1]
            && whole(&self.size.rows)
            && whole(&self.size.columns)
    }

    pub(super) fn depthwise(&self, input: FeatureMap) -> Depthwise {
        Depthwise {
            input,
            size: self.size,
            weights: self.layer.weights,
            channels: self.layer.out_channels,
            bounds: self.layer.activation.bounds(),
            asks_ahead: !simd::processor::is_intel(),
        }
    }

    /// The product whose input pixels are `pixel` values apart.
    pub(super) fn matrix(
        &self,
        pixel: usize,
        output: FeatureMap,
        weights: &PackedWeights,
    ) -> MatrixProduct {
        let [rows, columns] = self.layer.kernel;
        MatrixProduct {
            pixel,
            layout: PanelLayout::new(
                self.layer.out_channels,
                rows * columns * self.layer.in_channels,
                weights.isa().lanes(),
                simd::panel_vectors(weights.isa()),
            ),
            weight_type: self.layer.weight_type,
            scheme: self.layer.scheme,
            weights: self.layer.weights,
            bias: self.layer.bias,
            bounds: self.layer.activation.bounds(),
            output,
        }
    }
}

/// Values from a pixel to the next: whole vectors and the gap.
pub(super) fn pixel_stride(channels: usize, lanes: usize) -> usize {
    let padded = channels.next_multiple_of(lanes);
    if padded < FEWEST_WITH_GAP {
        padded
    } else {
        padded + PIXEL_GAP
    }
}

/// A depthwise layer combined with the product that reads its result.
pub(super) fn separable(depthwise: Depthwise, matrix: MatrixProduct, threads: usize) -> Separable {
    let (height, width) = (depthwise.size.rows.output, depthwise.size.columns.output);
    // A pair of pixels must stay in one band.
    let (unit, pixel) = match matrix.scheme {
        Scheme::Plain => (1, matrix.pixel),
        Scheme::Strassen => {
            let sums = strassen::sums_stride(matrix.layout.depth()).div_ceil(2);
            (1 + width % 2, matrix.pixel + sums)
        }
    };
    let split = split(height, width, unit, threads);
    let band = match split {
        Split::Channels => height.next_multiple_of(unit),
        Split::Rows => {
            let most = height.div_ceil(unit * threads).max(1);
            (BAND_VALUES / (unit * width * pixel).max(1)).clamp(1, most) * unit
        }
    };
    let pixels = (band * width).next_multiple_of(unit);
    Separable {
        depthwise,
        matrix,
        split,
        unit,
        band,
        scratch: 0,
        sums: pixels * matrix.pixel * VALUE,
        scratch_stride: pixels * pixel * VALUE,
    }
}

/// Chooses how threads divide a separable operation.
///
/// By rows, each thread reads what it wrote itself, except at a border. By channels, it reads what
/// the others wrote, and there is one more barrier. So rows are better if they can be divided
/// evenly. On two cores of Zen 5, the network of width 0.25 at 128x128 takes 0.085 ms by rows and
/// 0.093 ms by channels; 0.16 and 0.22 ms where the cores share no L3. But 7 rows are divided into
/// 4 and 3, and the thread with 3 would wait a quarter of the time.
fn split(height: usize, width: usize, unit: usize, threads: usize) -> Split {
    let most = height.div_ceil(unit).div_ceil(threads) * unit;
    let even = 12 * threads * most <= 13 * height;
    if threads == 1 || even && most * width >= FEWEST_PIXELS {
        Split::Rows
    } else {
        Split::Channels
    }
}
