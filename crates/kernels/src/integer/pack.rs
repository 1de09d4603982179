//! Brings weights into the order in which kernels read them.

use super::check::check_arithmetic;
use super::constant::{Computed, leave_out_constants};
use super::network::{
    Arithmetic, IntegerLayer, IntegerNetwork, IntegerOperation, Quantized, QuantizedConvolution,
    ValueKind,
};
use super::pack_matrix::pack_matrix;
use super::packed::{
    PackedDepthwise, PackedIntegers, PackedLayer, PackedMatrix, PackedOperation, PackedSums,
};
use super::rounding::{Bounds, ByteScale, Factors};
use super::softmax::{Exponentials, FIXED_SCALE};
use super::weights::{each, weights_of};
use crate::error::KernelError;
use crate::network::ConvKind;
use crate::simd::{IntegerIsa, on_all_cores};

impl PackedIntegers {
    /// Checks and packs a network. Each layer's weights are freed once they are packed. Channels that
    /// are the same in every image are not computed, except in a browser.
    ///
    /// # Errors
    /// If a layer cannot be computed.
    pub fn new(
        mut network: IntegerNetwork,
        arithmetic: Arithmetic,
        isa: impl Into<IntegerIsa>,
    ) -> Result<Self, KernelError> {
        let [rows, columns, _] = network.input_shape;
        let shapes = network.shapes([rows, columns])?;
        // A browser's module is kept small, and computes them all.
        let computed = match cfg!(target_arch = "wasm32") {
            true => shapes.iter().map(|_| None).collect(),
            false => leave_out_constants(&mut network, arithmetic),
        };
        Self::pack(network, &shapes, computed, arithmetic, isa.into())
    }

    /// Packs a network that was checked, and that has these outputs.
    pub(super) fn pack(
        network: IntegerNetwork,
        shapes: &[[usize; 3]],
        computed: Vec<Option<Computed>>,
        arithmetic: Arithmetic,
        isa: IntegerIsa,
    ) -> Result<Self, KernelError> {
        let mut read = network.input_shape;
        let mut input = network.input;
        let mut unpacked = Vec::new();
        for (layer, (shape, computed)) in
            network.layers.into_iter().zip(shapes.iter().zip(computed))
        {
            let output = layer.output;
            unpacked.push((layer, input, read, computed));
            let computed = unpacked.last().and_then(|(.., computed)| computed.as_ref());
            let channels = computed.map_or(shape[2], Computed::count);
            read = [shape[0], shape[1], channels];
            input = output;
        }
        // The last layers have most weights: begun first, they end with the others.
        unpacked.reverse();
        let layers = on_all_cores(unpacked, |(layer, input, read, computed)| {
            let layer = PackedLayer::new(layer, input, read, arithmetic, isa)?;
            Ok(PackedLayer { computed, ..layer })
        });
        let layers = layers
            .into_iter()
            .rev()
            .collect::<Result<_, KernelError>>()?;
        Ok(Self {
            isa,
            arithmetic,
            input_shape: network.input_shape,
            input: network.input,
            layers,
            branches: Vec::new(),
        })
    }
}

impl PackedLayer {
    /// Packs a layer that reads rows, columns and channels of `input`, and that was checked.
    pub(super) fn new(
        layer: IntegerLayer,
        input: ValueKind,
        read: [usize; 3],
        arithmetic: Arithmetic,
        isa: IntegerIsa,
    ) -> Result<Self, KernelError> {
        check_arithmetic(&layer, input, arithmetic)?;
        let output = layer.output;
        let operation = match (layer.operation, input, output) {
            (
                IntegerOperation::Convolution(convolution),
                ValueKind::Quantized(input),
                ValueKind::Quantized(output),
            ) => {
                let factors = Factors::new(&convolution, input, output, arithmetic);
                let factors = factors.ok_or_else(|| KernelError::Layer {
                    layer: layer.name.clone(),
                    problem: "scales that XNNPACK refuses: the input's times the weights' is \
                              256 times the output's or more"
                        .to_string(),
                })?;
                pack(isa, &convolution, read, [input, output], factors)
            }
            (IntegerOperation::Softmax { .. }, _, ValueKind::Quantized(output))
                if arithmetic == Arithmetic::Reference && output.scale != FIXED_SCALE =>
            {
                return Err(KernelError::Layer {
                    layer: layer.name,
                    problem: "a softmax in fixed point has the scale 1/256".to_string(),
                });
            }
            (IntegerOperation::Softmax { beta }, ValueKind::Quantized(input), _) => {
                let table = Exponentials::new(input.scale, beta, arithmetic);
                PackedOperation::Softmax(table)
            }
            (IntegerOperation::Quantize, ..) => PackedOperation::Quantize,
            (IntegerOperation::AveragePool(geometry), ..) => PackedOperation::AveragePool(geometry),
            (IntegerOperation::Mean, ..) => PackedOperation::Mean,
            (IntegerOperation::Flatten, ..) => PackedOperation::Flatten,
            // The checks have refused all else.
            _ => PackedOperation::Dequantize,
        };
        Ok(Self {
            name: layer.name,
            operation,
            output,
            computed: None,
        })
    }
}

impl PackedSums {
    fn new(
        convolution: &QuantizedConvolution,
        [input, output]: [Quantized; 2],
        mut factors: Factors,
        offset: i32,
        isa: IntegerIsa,
    ) -> Self {
        let room = convolution.out_channels.next_multiple_of(isa.lanes());
        if let Factors::F32(factors) = &mut factors {
            factors.resize(room, 0.0);
        }
        // Left operands are bytes minus an offset.
        let zero_point = ByteScale::from(input).zero_point - offset;
        let sums = sums_of_weights(convolution);
        let start = convolution.bias.iter().zip(sums);
        let start = start.map(|(bias, sum)| bias.wrapping_sub(zero_point.wrapping_mul(sum)));
        let mut start: Vec<i32> = start.collect();
        start.resize(room, 0);
        Self {
            start,
            bounds: Bounds::of_activation(output.into(), convolution.activation),
            factors,
        }
    }
}

/// Sums of the weights of each output channel.
fn sums_of_weights(convolution: &QuantizedConvolution) -> Vec<i32> {
    let mut weights = vec![0; each(convolution)];
    let sums = (0..convolution.out_channels).map(|channel| {
        weights_of(convolution, channel, 0, &mut weights);
        weights.iter().copied().fold(0, i32::wrapping_add)
    });
    sums.collect()
}

fn pack(
    isa: IntegerIsa,
    convolution: &QuantizedConvolution,
    [rows, columns, in_channels]: [usize; 3],
    meanings: [Quantized; 2],
    factors: Factors,
) -> PackedOperation {
    let sums = |offset| PackedSums::new(convolution, meanings, factors, offset, isa);
    match convolution.kind {
        ConvKind::Depthwise => {
            let sums = sums(0);
            let depthwise = PackedDepthwise::new(convolution, in_channels, sums, isa);
            PackedOperation::Depthwise(depthwise)
        }
        ConvKind::Conv => {
            let packed = pack_matrix(isa, convolution, rows * columns);
            PackedOperation::Matrix(PackedMatrix {
                geometry: convolution.geometry,
                in_channels,
                out_channels: convolution.out_channels,
                products: packed.products,
                stride: packed.stride,
                panels: packed.panels,
                extra: packed.extra,
                weights: packed.weights,
                sums: sums(packed.offset),
            })
        }
    }
}
