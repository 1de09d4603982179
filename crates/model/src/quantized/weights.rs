//! Packed weights of integers, and slim's names of the layers.

use std::sync::Arc;

use mobilenet_kernels::ConvKind;
use mobilenet_kernels::integer::{
    Arithmetic, IntegerNetwork, IntegerOperation, PackedIntegers, ValueKind,
};
use mobilenet_kernels::simd::IntegerIsa;

use crate::endpoint::{Endpoint, LayerKind, head};
use crate::error::ModelError;

/// Packed weights of a network of integers, which any number of plans can share. Clones share them
/// too.
#[derive(Debug, Clone)]
pub struct QuantizedWeights {
    network: Arc<PackedIntegers>,
    /// Name and layer, in order.
    endpoints: Arc<Vec<(String, usize)>>,
}

impl QuantizedWeights {
    /// Packs a network for the machine's best instruction set, or for the one in `MOBILENET_ISA`.
    ///
    /// # Errors
    /// If the description is not that of a network that can be computed.
    pub fn new(network: IntegerNetwork, arithmetic: Arithmetic) -> Result<Self, ModelError> {
        Self::for_isa(IntegerIsa::best()?, network, arithmetic)
    }

    /// As [`Self::new`], for given instructions.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn for_isa(
        isa: IntegerIsa,
        network: IntegerNetwork,
        arithmetic: Arithmetic,
    ) -> Result<Self, ModelError> {
        let endpoints = endpoints(&network);
        Ok(Self {
            network: Arc::new(PackedIntegers::new(network, arithmetic, isa)?),
            endpoints: Arc::new(endpoints),
        })
    }

    /// The instructions that the weights are packed for.
    pub fn isa(&self) -> IntegerIsa {
        self.network.isa()
    }

    /// The arithmetic.
    pub fn arithmetic(&self) -> Arithmetic {
        self.network.arithmetic()
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        self.network.bytes()
    }

    /// Rows, columns and channels of an image, as the file has them.
    pub fn input_shape(&self) -> [usize; 3] {
        self.network.input_shape()
    }

    /// An image's values.
    pub fn input(&self) -> ValueKind {
        self.network.input()
    }

    /// Names of the layers whose output a plan can return: slim's endpoints.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.endpoints.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn network(&self) -> &Arc<PackedIntegers> {
        &self.network
    }

    /// The layer of an endpoint.
    pub(super) fn layer(&self, endpoint: &str) -> Result<usize, ModelError> {
        let found = self.endpoints.iter().find(|(name, _)| name == endpoint);
        found
            .map(|&(_, layer)| layer)
            .ok_or_else(|| ModelError::UnknownEndpoint {
                name: endpoint.to_string(),
            })
    }
}

/// slim's names of the layers that have one.
pub(super) fn endpoints(network: &IntegerNetwork) -> Vec<(String, usize)> {
    let mut names = Vec::new();
    let mut index = 0;
    let mut pooled = false;
    for (layer, found) in network.layers.iter().enumerate() {
        let name = match &found.operation {
            IntegerOperation::Convolution(_) if pooled => head::LOGITS.to_string(),
            IntegerOperation::Convolution(convolution) => {
                let kind = match (convolution.kind, layer_kind(names.last(), index)) {
                    (ConvKind::Depthwise, _) => {
                        index += 1;
                        LayerKind::Depthwise
                    }
                    (ConvKind::Conv, kind) => kind,
                };
                if kind == LayerKind::Conv && !names.is_empty() {
                    index += 1;
                }
                Endpoint { index, kind }.to_string()
            }
            IntegerOperation::AveragePool(_) => {
                pooled = true;
                head::AVG_POOL.to_string()
            }
            IntegerOperation::Mean => {
                pooled = true;
                head::GLOBAL_POOL.to_string()
            }
            IntegerOperation::Softmax { .. } => head::PREDICTIONS.to_string(),
            IntegerOperation::Quantize
            | IntegerOperation::Dequantize
            | IntegerOperation::Flatten => continue,
        };
        names.push((name, layer));
    }
    names
}

/// A convolution right after a depthwise one is its pointwise one.
fn layer_kind(before: Option<&(String, usize)>, index: usize) -> LayerKind {
    let depthwise = Endpoint {
        index,
        kind: LayerKind::Depthwise,
    };
    match before {
        Some((name, _)) if *name == depthwise.to_string() => LayerKind::Pointwise,
        _ => LayerKind::Conv,
    }
}
