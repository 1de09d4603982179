//! What all ranks of a training must have in common.

use mobilenet_kernels::simd::Isa;
use mobilenet_model::checkpoint::Metadata;
use serde_json::Value;

use super::options::RunOptions;
use crate::data::{OpenData, identity};
use crate::error::TrainError;
use crate::parallel::Terms;
use crate::recipe::Recipe;

/// What the bits of a training depend on.
pub(super) fn of_training(
    recipe: &Recipe,
    metadata: &Metadata,
    data: &OpenData,
    options: &RunOptions,
) -> Result<Terms, TrainError> {
    let isa = Isa::best().map_err(mobilenet_model::ModelError::from)?;
    let test = data.test.as_deref();
    let mut terms = vec![
        ("version".to_string(), options.version.clone()),
        ("number of threads".to_string(), options.threads.to_string()),
        ("instruction set".to_string(), isa.to_string()),
        ("training photos".to_string(), identity(&*data.train)),
        (
            "test photos".to_string(),
            test.map_or("none".into(), identity),
        ),
    ];
    let network = serde_json::to_vec(metadata).map_err(TrainError::message)?;
    terms.push(("description of the network".into(), checksum(&network)));
    if let Value::Object(fields) = serde_json::to_value(recipe).map_err(TrainError::message)? {
        let fields = fields.into_iter();
        terms.extend(fields.map(|(name, value)| {
            let name = format!("recipe: {}", name.replace('_', " "));
            (name, value.to_string())
        }));
    }
    Ok(terms)
}

fn checksum(bytes: &[u8]) -> String {
    format!("checksum {:08x}", crc32c::crc32c(bytes))
}
