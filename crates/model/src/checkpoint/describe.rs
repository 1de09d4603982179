//! Metadata of a network, from the file, its folder and the caller.

use std::path::Path;

use super::draft::Draft;
use super::error::CheckpointError;
use super::metadata::Metadata;
use super::misfit::Misfit;
use super::name_map::Framework;
use super::options::LoadOptions;
use super::readers::NamedTensors;
use super::resolve::{Resolved, resolve};
use super::{graph, hugging_face_config, infer};
use crate::architecture::body_layers;
use crate::labels::Labels;
use crate::preprocess::Preprocessing;

/// What is known of a file before its metadata: tensors, parameters, path.
pub(super) struct Evidence<'a> {
    pub(super) path: &'a Path,
    pub(super) file: &'a NamedTensors,
    pub(super) resolved: &'a Resolved,
}

/// One source of metadata.
type Authority = fn(&Evidence<'_>, &mut Draft) -> Result<(), CheckpointError>;

/// Each overrules those above it. Before the first, the defaults of the framework hold; after the
/// last, the caller is asked. Where the file has metadata of ours, that stands for all of them.
const AUTHORITIES: [Authority; 6] = [
    shapes,                     // width, channels, classes
    loose_entries,              // an epsilon, names of classes
    operations,                 // of the graph
    hugging_face_configuration, // in a file beside this one
    recommended_resize,         // what serves ImageNet's weights best
    hugging_face_processor,     // in another file beside this one
];

/// The metadata of a file of which the parameters are not needed.
///
/// # Errors
/// If the file is no MobileNetV1.
pub(super) fn metadata_of(
    path: &Path,
    file: &mut NamedTensors,
    options: &LoadOptions,
) -> Result<Metadata, CheckpointError> {
    file.strip_output_numbers();
    let resolved = &resolve(path, file, options.averages)?;
    let evidence = Evidence {
        path,
        file,
        resolved,
    };
    describe(&evidence, options).map(|(metadata, _)| metadata)
}

/// The metadata of the network, and what had to be assumed.
///
/// # Errors
/// If the metadata does not describe a MobileNetV1.
pub(super) fn describe(
    evidence: &Evidence<'_>,
    options: &LoadOptions,
) -> Result<(Metadata, Vec<String>), CheckpointError> {
    let Evidence { path, resolved, .. } = evidence;
    let draft = match own_metadata(evidence)? {
        Some(own) => Draft::new(path, own),
        None => {
            let mut draft = Draft::new(path, resolved.names.defaults());
            for say in AUTHORITIES {
                say(evidence, &mut draft)?;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            draft.metadata.source = format!("{name}, names of {}", resolved.names.framework());
            draft
        }
    };
    let (metadata, assumed) = draft.overrule(options)?;
    body_layers(&metadata.config().base).map_err(|error| evidence.wrong("configuration", error))?;
    Ok((metadata, assumed))
}

fn own_metadata(evidence: &Evidence<'_>) -> Result<Option<Metadata>, CheckpointError> {
    Metadata::of_file(&evidence.file.metadata)
        .transpose()
        .map_err(|error| evidence.wrong("metadata", error))
}

fn shapes(evidence: &Evidence<'_>, draft: &mut Draft) -> Result<(), CheckpointError> {
    infer::apply(evidence.resolved, &mut draft.metadata)
        .map_err(|problem| evidence.other_network(problem))
}

fn loose_entries(evidence: &Evidence<'_>, draft: &mut Draft) -> Result<(), CheckpointError> {
    let (file, metadata) = (evidence.file, &mut draft.metadata);
    if let Some(&epsilon) = file.epsilons.values().next() {
        metadata.batch_norm_epsilon = epsilon;
    }
    if let Some(labels) = &file.labels
        && Some(labels.len()) == metadata.classes
    {
        metadata.labels = Labels::Names(labels.clone());
    }
    Ok(())
}

fn operations(evidence: &Evidence<'_>, draft: &mut Draft) -> Result<(), CheckpointError> {
    let Some(facts) = &evidence.resolved.facts else {
        return Ok(());
    };
    let other_network = |problem| evidence.other_network(problem);
    draft.set_activation(graph::activation(facts).map_err(other_network));
    graph::apply(facts, &mut draft.metadata, &mut draft.assumed).map_err(other_network)?;
    draft.set_padding(graph::padding(facts, &draft.metadata).map_err(other_network));
    Ok(())
}

fn hugging_face_configuration(
    evidence: &Evidence<'_>,
    draft: &mut Draft,
) -> Result<(), CheckpointError> {
    match evidence.hugging_face_folder() {
        Some(folder) => hugging_face_config::apply_model(folder, draft),
        None => Ok(()),
    }
}

/// ImageNet's weights that say nothing else get timm's rule, whatever framework they are for: of
/// all rules it gives the most right answers (docs/preprocessing.md).
fn recommended_resize(_: &Evidence<'_>, draft: &mut Draft) -> Result<(), CheckpointError> {
    let metadata = &mut draft.metadata;
    if Labels::for_classes(metadata.classes.unwrap_or(0)) == Labels::ImageNet {
        let [rows, columns] = metadata.preprocessing.size;
        metadata.preprocessing.resize = Preprocessing::timm(rows.max(columns), 0.875).resize;
    }
    Ok(())
}

fn hugging_face_processor(
    evidence: &Evidence<'_>,
    draft: &mut Draft,
) -> Result<(), CheckpointError> {
    match evidence.hugging_face_folder() {
        Some(folder) => hugging_face_config::apply_processor(folder, draft),
        None => Ok(()),
    }
}

impl Evidence<'_> {
    /// The folder of the file, where Hugging Face's configurations may lie beside it.
    fn hugging_face_folder(&self) -> Option<&Path> {
        let theirs = self.resolved.names.framework() == Framework::HuggingFace;
        self.path.parent().filter(|_| theirs)
    }

    fn wrong(&self, key: &str, problem: impl ToString) -> CheckpointError {
        CheckpointError::Metadata {
            path: self.path.to_path_buf(),
            key: key.to_string(),
            problem: problem.to_string(),
        }
    }

    fn other_network(&self, problem: String) -> CheckpointError {
        let names = self.file.tensors.keys().map(String::as_str);
        let misfit = Misfit::of_network(names, self.resolved.names.as_ref());
        CheckpointError::Architecture {
            path: self.path.to_path_buf(),
            problem,
            misfit: Box::new(misfit),
        }
    }
}
