//! What a quantised file says of its layers, and how they are computed.

use mobilenet_kernels::integer::{
    IntegerNetwork, IntegerOperation, IntegerType, QuantizedWeights as LayerWeights, ValueKind,
};
use serde::Serialize;

use super::weights::{QuantizedWeights, endpoints};
use crate::error::ModelError;

/// One layer of a network of integers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IntegerSummary {
    /// slim's name.
    pub name: String,
    /// Rows, columns and channels of the output.
    pub output: [usize; 3],
    /// Type of the output's integers: `u8` or `i8`.
    #[serde(rename = "type")]
    pub integer: &'static str,
    /// How much the output's number grows when the integer grows by 1.
    pub scale: f32,
    /// The output's integer that means 0.
    pub zero_point: i32,
    /// The layer's weights, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightsSummary>,
    /// The kernel that computes it here.
    pub kernel: &'static str,
    /// Channels of the output that are the same in every image, and are not computed.
    pub constants: usize,
}

/// The weights of a layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WeightsSummary {
    /// Type of the integers: `u8` or `i8`.
    #[serde(rename = "type")]
    pub integer: &'static str,
    /// Number of scales: 1, or one for each output channel.
    pub scales: usize,
    /// The smallest and the largest scale.
    pub scale: [f32; 2],
    /// The integer that means 0, if it is the same for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zero_point: Option<i32>,
}

fn name(integer: IntegerType) -> &'static str {
    match integer {
        IntegerType::U8 => "u8",
        IntegerType::I8 => "i8",
    }
}

impl WeightsSummary {
    fn new(weights: &LayerWeights) -> Self {
        let scales = &weights.scales;
        let smallest = scales.iter().copied().fold(f32::INFINITY, f32::min);
        let largest = scales.iter().copied().fold(0.0, f32::max);
        let (first, rest) = match weights.zero_points.split_first() {
            Some((first, rest)) => (Some(*first), rest),
            None => (None, [].as_slice()),
        };
        Self {
            integer: name(weights.values.integer()),
            scales: scales.len(),
            scale: [smallest, largest],
            zero_point: first.filter(|first| rest.iter().all(|other| other == first)),
        }
    }
}

/// All layers that have one of slim's names.
///
/// # Errors
/// If the network cannot be computed.
pub fn integer_summary(network: IntegerNetwork) -> Result<Vec<IntegerSummary>, ModelError> {
    let [rows, columns, _] = network.input_shape;
    let shapes = network.shapes([rows, columns])?;
    let mut summaries = Vec::new();
    for (endpoint, index) in endpoints(&network) {
        let layer = &network.layers[index];
        let ValueKind::Quantized(output) = layer.output else {
            continue;
        };
        let weights = match &layer.operation {
            IntegerOperation::Convolution(convolution) => Some(&convolution.weights),
            _ => None,
        };
        let summary = IntegerSummary {
            name: endpoint,
            output: shapes[index],
            integer: name(output.integer),
            scale: output.scale,
            zero_point: output.zero_point,
            weights: weights.map(WeightsSummary::new),
            kernel: "",
            constants: 0,
        };
        summaries.push((index, summary));
    }
    let packed = QuantizedWeights::new(network, Default::default())?;
    let network = packed.network();
    let kernels: Vec<_> = network.kernels().zip(network.constant_channels()).collect();
    let with_kernel = summaries.into_iter().map(|(index, mut summary)| {
        if let Some(&(kernel, constants)) = kernels.get(index) {
            (summary.kernel, summary.constants) = (kernel, constants);
        }
        summary
    });
    Ok(with_kernel.collect())
}
