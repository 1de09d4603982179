//! Metadata in the making. The caller has the last word, so what a file says in terms that we do
//! not have is no error until the caller was asked.

use std::path::{Path, PathBuf};

use super::error::CheckpointError;
use super::metadata::{Metadata, SavedActivation};
use super::options::LoadOptions;
use crate::config::PaddingRule;

/// What has been said of a network so far.
pub(super) struct Draft {
    path: PathBuf,
    pub(super) metadata: Metadata,
    /// What the file should say and does not.
    pub(super) assumed: Vec<String>,
    /// Why the activation is not known, where it is not.
    activation: Result<(), CheckpointError>,
    /// Why the padding is not known, where it is not.
    padding: Result<(), CheckpointError>,
}

impl Draft {
    pub(super) fn new(path: &Path, metadata: Metadata) -> Self {
        Self {
            path: path.to_path_buf(),
            metadata,
            assumed: Vec::new(),
            activation: Ok(()),
            padding: Ok(()),
        }
    }

    pub(super) fn set_activation(&mut self, said: Result<SavedActivation, CheckpointError>) {
        self.activation = said.map(|activation| self.metadata.activation = activation);
    }

    pub(super) fn set_padding(&mut self, said: Result<PaddingRule, CheckpointError>) {
        self.padding = said.map(|padding| self.metadata.padding = padding);
    }

    /// Lets the caller overrule all that was said. Gives the metadata, and what was assumed.
    ///
    /// # Errors
    /// Where something is still not known, or the caller wants what cannot be.
    pub(super) fn overrule(
        mut self,
        options: &LoadOptions,
    ) -> Result<(Metadata, Vec<String>), CheckpointError> {
        if let Some(activation) = options.activation {
            self.set_activation(Ok(activation));
        }
        if let Some(padding) = options.padding {
            self.set_padding(Ok(padding));
        }
        if let Some(epsilon) = options.batch_norm_epsilon {
            if self.metadata.folded {
                let problem = format!(
                    "an epsilon of {epsilon} for a network whose batch normalisation is folded"
                );
                return Err(CheckpointError::Metadata {
                    path: self.path,
                    key: "epsilon".to_string(),
                    problem,
                });
            }
            self.metadata.batch_norm_epsilon = epsilon;
        }
        self.activation?;
        self.padding?;
        Ok((self.metadata, self.assumed))
    }
}
