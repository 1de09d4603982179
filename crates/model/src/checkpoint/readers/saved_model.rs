//! TensorFlow's SavedModel: a folder of `saved_model.pb`, the graph, and
//! `variables/variables.index`, a V2 checkpoint. Of the graph only the epsilon of its batch
//! normalisation is of interest, and its constants where there are no variables.
//!
//! ```text
//! SavedModel         { int64 saved_model_schema_version = 1, repeated MetaGraphDef meta_graphs = 2 }
//! MetaGraphDef       { MetaInfoDef meta_info_def = 1, GraphDef graph_def = 2 }
//! ```

use std::io;

use super::protobuf::{Field, next_field};
use super::{Budget, Folder, NamedTensors, Source, graph_def, tf_checkpoint};
use crate::checkpoint::readers::ReadError;

const VARIABLES: &str = "variables/variables.index";

/// Whether the file begins with a schema version and a graph in a message of more.
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
    // Further graphs are other versions of the same network.
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
        // A model whose variables are frozen.
        Err(_) if !graph.tensors.is_empty() && !exists(source.folder) => return Ok(graph),
        Err(error) => return Err(error),
    };
    let variables = Source {
        name: VARIABLES,
        bytes: &index,
        folder: source.folder,
    };
    let mut named = tf_checkpoint::read(&variables, budget)?;
    named.epsilons = graph.epsilons;
    Ok(named)
}

/// Whether there are variables at all.
fn exists(folder: &dyn Folder) -> bool {
    !matches!(folder.read(VARIABLES, 0), Err(error) if error.kind() == io::ErrorKind::NotFound)
}
