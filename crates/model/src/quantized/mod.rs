//! Networks of 8-bit integers: LiteRT's answers, bit for bit.
//!
//! ```text
//! file -> checkpoint::load_integers -> IntegerNetwork (plain data)
//! IntegerNetwork + Arithmetic -> QuantizedWeights (packed, shared)
//! weights and ranges of activations -> Freeze -> IntegerNetwork
//! QuantizedWeights + IntegerPlanOptions (size, threads, output) -> IntegerPlan -> run
//! ```

mod freeze;
mod output_stride;
mod plan;
mod random;
mod summary;
mod weights;

pub use freeze::{Freeze, PIXEL};
pub use mobilenet_kernels::integer::{
    Arithmetic, IntegerImages, IntegerNetwork, IntegerOutput, IntegerType, Quantized, ValueKind,
};
pub use output_stride::with_output_stride;
pub use plan::{IntegerPlan, IntegerPlanOptions, IntegerPlanOutput};
pub use random::{RandomWeights, random_integers};
pub use summary::{IntegerSummary, WeightsSummary, integer_summary};
pub use weights::QuantizedWeights;
