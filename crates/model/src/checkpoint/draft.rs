//! Metadata that is not complete yet. The caller has the last word, so a setting that we do not
//! support is an error only if the caller does not override it.

use std::path::{Path, PathBuf};

use super::error::CheckpointError;
use super::metadata::{Metadata, SavedActivation};
use super::options::LoadOptions;
use crate::config::PaddingRule;

/// Metadata collected so far.
pub(super) struct Draft {
    path: PathBuf,
    pub(super) metadata: Metadata,
    /// Settings that the file does not state, with the values assumed.
    pub(super) assumed: Vec<String>,
    /// The error, if the file's activation is not supported.
    activation: Result<(), CheckpointError>,
    /// The error, if the file's padding is not supported.
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

    /// Applies the caller's options, and returns the metadata and what was assumed.
    ///
    /// # Errors
    /// If a setting is still unknown, or an option does not fit the network.
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
