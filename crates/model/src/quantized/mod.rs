//! Networks of 8-bit integers: LiteRT's answers, bit for bit.
//!
//! ```text
//! file -> checkpoint::load_integers -> IntegerNetwork (plain data)
//! IntegerNetwork + Arithmetic -> QuantizedWeights (packed, shared)
//! QuantizedWeights + IntegerPlanOptions (size, threads, output) -> IntegerPlan -> run
//! ```

mod plan;
mod random;
mod summary;
mod weights;

pub use mobilenet_kernels::integer::{
    Arithmetic, IntegerImages, IntegerNetwork, IntegerOutput, IntegerType, Quantized, ValueKind,
};
pub use plan::{IntegerPlan, IntegerPlanOptions, IntegerPlanOutput};
pub use random::random_integers;
pub use summary::{IntegerSummary, WeightsSummary, integer_summary};
pub use weights::QuantizedWeights;
