//! What all ranks of a training must have in common.

use mobilenet_kernels::simd::Isa;
use serde::Serialize;
use serde_json::Value;

use super::options::RunOptions;
use crate::error::TrainError;
use crate::parallel::Terms;
use crate::recipe::Recipe;

/// What the bits of a training depend on. `photos` tell those to train on, and to evaluate on, apart.
pub(crate) fn of_training(
    recipe: &Recipe,
    network: &impl Serialize,
    photos: [String; 2],
    options: &RunOptions,
) -> Result<Terms, TrainError> {
    let isa = Isa::best().map_err(mobilenet_model::ModelError::from)?;
    let [train, test] = photos;
    let mut terms = vec![
        ("version".to_string(), options.version.clone()),
        ("number of threads".to_string(), options.threads.to_string()),
        ("instruction set".to_string(), isa.to_string()),
        ("training photos".to_string(), train),
        ("test photos".to_string(), test),
    ];
    let network = serde_json::to_vec(network).map_err(TrainError::message)?;
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
