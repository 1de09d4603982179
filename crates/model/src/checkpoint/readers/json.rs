//! JSON of formats that list tensors and files.

use serde::de::DeserializeOwned;

use super::{Budget, ReadError, Source};

/// Whether JSON has such a key; what is around it is not looked at.
pub(super) fn is_json_with(bytes: &[u8], key: &str) -> bool {
    let quoted = format!("\"{key}\"");
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
        && bytes
            .windows(quoted.len())
            .any(|window| window == quoted.as_bytes())
}

/// JSON of a format that lists tensors and files.
pub(super) fn parse_json<T: DeserializeOwned>(
    source: &Source<'_>,
    budget: &mut Budget,
) -> Result<T, ReadError> {
    // Three bytes can become an empty text of 24.
    budget.take(source.name, 8 * source.bytes.len() as u64)?;
    serde_json::from_slice(source.bytes).map_err(|error| ReadError::malformed(source.name, error))
}
