//! The vectors of a model with one graph.

use super::tensors::malformed;
use crate::checkpoint::readers::ReadError;
use crate::checkpoint::readers::flatbuffer::{Elements, Table};

/// Bytes of memory for a tensor or an operator: a generous estimate.
pub(super) const RECORD: u64 = 512;

/// Where a model's parts are.
pub(super) struct Tables<'a> {
    pub(super) buffers: Elements<'a>,
    pub(super) codes: Elements<'a>,
    pub(super) tensors: Elements<'a>,
    pub(super) inputs: Elements<'a>,
    pub(super) outputs: Option<Elements<'a>>,
    pub(super) operators: Elements<'a>,
    pub(super) metadata: Option<Elements<'a>>,
}

/// The error of a model that lacks a part.
pub(super) fn missing(what: &str) -> ReadError {
    malformed("TFLite model", format!("it has no {what}"))
}

impl<'a> Tables<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, ReadError> {
        let model = Table::root(bytes).ok_or_else(|| missing("root"))?;
        let vector = |table: &Table<'a>, field: usize, what: &str| {
            table.elements(field, 4).ok_or_else(|| missing(what))
        };
        let buffers = vector(&model, 4, "buffers")?;
        let codes = vector(&model, 1, "operator codes")?;
        let subgraphs = vector(&model, 2, "subgraphs")?;
        let subgraph = subgraphs.table(0).ok_or_else(|| missing("subgraph"))?;
        Ok(Self {
            buffers,
            codes,
            tensors: vector(&subgraph, 0, "tensors")?,
            inputs: vector(&subgraph, 1, "inputs")?,
            outputs: subgraph.elements(2, 4),
            operators: vector(&subgraph, 3, "operators")?,
            metadata: model.elements(6, 4),
        })
    }
}
