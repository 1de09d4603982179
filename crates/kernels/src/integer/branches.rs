//! Branches of a network: convolutions of single pixels that read a layer in the middle of the chain,
//! and that only the caller reads.

use super::check::{check, check_kind, check_shape, error};
use super::network::{Arithmetic, IntegerBranch, IntegerNetwork, IntegerOperation, ValueKind};
use super::packed::{PackedIntegers, PackedLayer};
use crate::error::KernelError;
use crate::network::ConvKind;
use crate::simd::IntegerIsa;

impl PackedIntegers {
    /// As [`Self::new`], for a network with branches. In outputs, branches are counted after the
    /// layers of the chain.
    ///
    /// # Errors
    /// As [`Self::new`], and if a branch reads no layer of integers or is no convolution of single
    /// pixels.
    pub fn with_branches(
        network: IntegerNetwork,
        branches: Vec<IntegerBranch>,
        arithmetic: Arithmetic,
        isa: impl Into<IntegerIsa>,
    ) -> Result<Self, KernelError> {
        let [rows, columns, _] = network.input_shape;
        let shapes = network.shapes([rows, columns])?;
        let outputs = network.layers.iter().map(|layer| layer.output);
        let outputs: Vec<ValueKind> = outputs.collect();
        let isa = isa.into();
        // Branches read whole layers.
        let computed = shapes.iter().map(|_| None).collect();
        let mut packed = Self::pack(network, &shapes, computed, arithmetic, isa)?;
        for IntegerBranch { reads, layer } in branches {
            let (Some(&input), Some(&shape)) = (outputs.get(reads), shapes.get(reads)) else {
                let problem = format!("it reads layer {reads} of {}", outputs.len());
                return Err(error(&layer.name, problem));
            };
            let IntegerOperation::Convolution(convolution) = &layer.operation else {
                return Err(error(&layer.name, "a branch must be a convolution"));
            };
            if convolution.kind != ConvKind::Conv || !convolution.geometry.is_pointwise() {
                return Err(error(&layer.name, "a branch must read single pixels"));
            }
            check_kind(&layer.name, &layer.output)?;
            check_shape(&layer.name, check(&layer, shape, input)?)?;
            let layer = PackedLayer::new(layer, input, shape, arithmetic, isa)?;
            packed.layers.push(layer);
            packed.branches.push(reads);
        }
        Ok(packed)
    }

    /// Number of layers of the chain.
    pub(super) fn chain(&self) -> usize {
        self.layers.len() - self.branches.len()
    }

    /// The last layer of the chain that is needed for some outputs.
    pub(super) fn last_needed(&self, outputs: &[usize]) -> usize {
        let needed = outputs.iter().map(|&output| {
            let branch = output.checked_sub(self.chain());
            let reads = branch.and_then(|branch| self.branches.get(branch));
            reads.copied().unwrap_or(output)
        });
        needed.max().unwrap_or_default()
    }

    /// The branches among some outputs that read a layer.
    pub(super) fn branches_of(&self, layer: usize, outputs: &[usize]) -> Vec<usize> {
        let branches = self.branches.iter().enumerate();
        let branches = branches.map(|(branch, &reads)| (self.chain() + branch, reads));
        branches
            .filter(|&(branch, reads)| reads == layer && outputs.contains(&branch))
            .map(|(branch, _)| branch)
            .collect()
    }
}
