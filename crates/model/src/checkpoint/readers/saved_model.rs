//! TensorFlow's SavedModel: a folder with the graph, `saved_model.pb`, and a V2 checkpoint,
//! `variables/variables.index`. From the graph we take only the epsilons of batch normalisation,
//! and its constants if there are no variables.
//!
//! ```text
//! SavedModel   { int64 saved_model_schema_version = 1, repeated MetaGraphDef meta_graphs = 2 }
//! MetaGraphDef { MetaInfoDef meta_info_def = 1, GraphDef graph_def = 2 }
//! ```

use std::io;

use super::protobuf::{Field, next_field};
use super::{Budget, Folder, NamedTensors, Source, graph_def, tf_checkpoint};
use crate::checkpoint::readers::ReadError;

const VARIABLES: &str = "variables/variables.index";

/// Whether the file begins with schema version 1 and a `MetaGraphDef`.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    matches!(
        next_field(&mut rest, "model"),
        Ok(Some(Field::Varint(1, 1)))
    ) && rest.first() == Some(&(2 << 3 | 2))
}

pub(super) fn read(source: &Source<'_>, budget: &mut Budget) -> Result<NamedTensors, ReadError> {
    let mut graph = NamedTensors::default();
    let mut rest = source.bytes;
    // Read the first graph only: further ones are other versions of the same network.
    while let Some(field) = next_field(&mut rest, "model")? {
        let Field::Bytes(2, mut meta_graph) = field else {
            continue;
        };
        while let Some(field) = next_field(&mut meta_graph, "meta graph")? {
            if let Field::Bytes(2, bytes) = field {
                graph = graph_def::read(bytes, budget)?;
            }
        }
        break;
    }
    let index = match source.sibling(VARIABLES, budget) {
        Ok(index) => index,
        // The variables are frozen: constants of the graph.
        Err(_) if !graph.tensors.is_empty() && !exists(source.folder) => return Ok(graph),
        Err(error) => return Err(error),
    };
    let variables = Source {
        name: VARIABLES,
        bytes: &index,
        file: Some(&index),
        folder: source.folder,
    };
    let mut named = tf_checkpoint::read(&variables, budget)?;
    named.epsilons = graph.epsilons;
    Ok(named)
}

/// Whether the folder has a file of variables.
fn exists(folder: &dyn Folder) -> bool {
    !matches!(folder.read(VARIABLES, 0), Err(error) if error.kind() == io::ErrorKind::NotFound)
}
