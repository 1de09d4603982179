//! Report of a load: what became of each tensor of the file.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::name_map::training;

/// A parameter that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Our name.
    pub name: String,
    /// Its name in the file.
    pub source: String,
}

/// A tensor with the right name, but the wrong shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// Our name.
    pub name: String,
    /// Its name in the file.
    pub source: String,
    /// The expected shape, in the file's layout.
    pub expected: Vec<usize>,
    /// Shape in the file.
    pub found: Vec<usize>,
}

/// Every parameter of the network and every tensor of the file, each in one of the lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// Parameters that were found.
    pub applied: Vec<Applied>,
    /// Names of parameters that the file lacks.
    pub missing: Vec<String>,
    /// Tensors of the file that the network does not use.
    pub unused: Vec<String>,
    /// Tensors of the wrong shape.
    pub mismatched: Vec<Mismatch>,
    /// Remains of training by kind: averages that were not asked for, the optimiser's slots,
    /// counters.
    pub training: BTreeMap<String, Vec<String>>,
    /// Settings that the file does not state, with the values assumed.
    pub assumed: Vec<String>,
}

impl LoadReport {
    /// Whether every parameter was found.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.mismatched.is_empty()
    }

    /// Number of parameters that are moving averages.
    pub fn averages(&self) -> usize {
        self.applied
            .iter()
            .filter(|applied| training::of(&applied.source) == Some(training::AVERAGES))
            .count()
    }
}

/// At most this many names of a list are shown.
const SHOWN: usize = 8;

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} applied, {} missing, {} unused, {} mismatched",
            self.applied.len(),
            self.missing.len(),
            self.unused.len(),
            self.mismatched.len()
        )?;
        match self.averages() {
            0 => {}
            averages => write!(f, "\n  {averages} of them moving averages")?,
        }
        for mismatch in self.mismatched.iter().take(SHOWN) {
            write!(
                f,
                "\n  mismatched {}: expected {:?}, found {:?}",
                mismatch.source, mismatch.expected, mismatch.found
            )?;
        }
        for assumed in &self.assumed {
            write!(f, "\n  assumed {assumed}")?;
        }
        for (title, names) in [("missing", &self.missing), ("unused", &self.unused)] {
            for name in names.iter().take(SHOWN) {
                write!(f, "\n  {title} {name}")?;
            }
            if names.len() > SHOWN {
                write!(f, "\n  {title} ... and {} more", names.len() - SHOWN)?;
            }
        }
        for (heading, names) in &self.training {
            write!(f, "\n  of training, {heading}: {}", names.len())?;
        }
        Ok(())
    }
}
