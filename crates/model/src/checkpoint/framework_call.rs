//! How a framework loads the files that we write for it.

use super::metadata::Metadata;
use super::name_map::Framework;

/// The call in the framework's own language that builds the network for a file of
/// [`save_as`](super::save_as).
///
/// # Errors
/// A sentence, if the framework has no such network.
pub fn framework_call(framework: Framework, metadata: &Metadata) -> Result<String, String> {
    let call = framework.convention().and_then(|row| row.call);
    let call = call.ok_or_else(|| format!("no file is written with the names of {framework}"))?;
    call(metadata).map_err(|lacking| format!("{framework}'s MobileNetV1 has no {lacking}"))
}
