//! Weights as coded symbols: few distinct values for each layer, one byte a weight, deflated. What
//! our compressed safetensors hold, and their entry in the header.
//!
//! | tensor | type | content |
//! |---|---|---|
//! | `NAME.codes` | U8 | a zlib stream of one symbol a weight, in the order of `NAME` |
//! | `NAME.scale` | BF16 | one for each index of the first axis |
//! | `NAME.palette` | F32 | what the symbols mean, in units of the scale; without it, integers |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Key of the entry in safetensors' `__metadata__`. Its value is [`Coding`] as JSON.
pub(super) const KEY: &str = "mobilenet_v1_compression";

/// Endings of the names of a coded tensor's parts.
pub(super) const CODES: &str = ".codes";
pub(super) const SCALE: &str = ".scale";
pub(super) const PALETTE: &str = ".palette";

/// How the tensors of a file are coded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Coding {
    /// The method's name, for people.
    pub(super) method: String,
    /// The coded tensors by name.
    pub(super) tensors: BTreeMap<String, Entry>,
}

/// What the header says of a coded tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) shape: Vec<usize>,
    /// The symbol that means 0, if symbols are integers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) zero: Option<u8>,
}

/// What a symbol means, in units of the scale of its output channel.
#[derive(Debug, Clone, PartialEq)]
pub enum Levels {
    /// One of at most 256 values that the whole tensor shares.
    Palette(Vec<f32>),
    /// The symbol minus this.
    Integers {
        /// The symbol that means 0.
        zero: u8,
    },
}

impl Levels {
    /// What each symbol means, and how many symbols mean something.
    pub(super) fn table(&self) -> ([f32; 256], usize) {
        let mut table = [0.0; 256];
        for (symbol, level) in (0..=u8::MAX).zip(&mut table) {
            *level = self.value(symbol).unwrap_or(0.0);
        }
        match self {
            Self::Palette(palette) => (table, palette.len()),
            Self::Integers { .. } => (table, table.len()),
        }
    }

    /// What a symbol means. `None` if the palette has no such value.
    pub fn value(&self, symbol: u8) -> Option<f32> {
        match self {
            Self::Palette(palette) => palette.get(usize::from(symbol)).copied(),
            Self::Integers { zero } => Some(f32::from(i16::from(symbol) - i16::from(*zero))),
        }
    }
}

/// A tensor as coded symbols.
#[derive(Debug, Clone, PartialEq)]
pub struct CodedTensor {
    /// Shape of the tensor. The first axis is that of the scales.
    pub shape: Vec<usize>,
    /// What symbols mean.
    pub levels: Levels,
    /// A scale for each index of the first axis; bf16 holds them exactly.
    pub scales: Vec<f32>,
    /// One symbol a value.
    pub symbols: Vec<u8>,
}

impl CodedTensor {
    /// Writes the weights that a reader makes of the symbols.
    pub fn decode_into(&self, weights: &mut [f32]) {
        let length = self.symbols.len() / self.scales.len().max(1);
        let filters = weights.chunks_mut(length.max(1));
        let symbols = self.symbols.chunks(length.max(1));
        let (levels, _) = self.levels.table();
        for ((filter, symbols), scale) in filters.zip(symbols).zip(&self.scales) {
            for (weight, &symbol) in filter.iter_mut().zip(symbols) {
                *weight = scale * levels[usize::from(symbol)];
            }
        }
    }
}

/// The coded tensors of a network, and how they were coded.
#[derive(Debug, Clone, PartialEq)]
pub struct CodedTensors {
    /// The method's name, for people.
    pub method: String,
    /// The tensors by our names.
    pub tensors: BTreeMap<String, CodedTensor>,
}
