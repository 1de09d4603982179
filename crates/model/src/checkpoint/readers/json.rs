//! JSON files that list tensors and files.

use serde::de::DeserializeOwned;

use super::{Budget, ReadError, Source};

/// Whether the bytes look like JSON with this key, at any depth.
pub(super) fn is_json_with(bytes: &[u8], key: &str) -> bool {
    let quoted = format!("\"{key}\"");
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
        && bytes
            .windows(quoted.len())
            .any(|window| window == quoted.as_bytes())
}

/// Parses a JSON file within the budget.
pub(super) fn parse_json<T: DeserializeOwned>(
    source: &Source<'_>,
    budget: &mut Budget,
) -> Result<T, ReadError> {
    // In memory: three bytes of JSON (`"",`) can become an empty `String` of 24 bytes.
    budget.take(source.name, 8 * source.bytes.len() as u64)?;
    serde_json::from_slice(source.bytes).map_err(|error| ReadError::malformed(source.name, error))
}
