//! How weights are compressed.

use std::fmt;

use serde::{Deserialize, Serialize};

use mobilenet_model::ModelError;

/// What the weights of a layer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Values that k-means finds for the layer, of which the output channels have multiples. 2 to
    /// the power of this many.
    Palette(u32),
    /// Multiples of a step of each output channel, integers of this many bits.
    Integers(u32),
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Palette(bits) => write!(f, "palette{bits}"),
            Self::Integers(bits) => write!(f, "int{bits}"),
        }
    }
}

/// Settings of compression.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompressOptions {
    /// What the weights of a layer may be.
    pub method: Method,
    /// For integers: the bits that a weight takes in the file, on average over all coded layers. The
    /// steps follow from it, coarser than the integers' range has to be. `None`: the whole range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<f64>,
}

impl CompressOptions {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`ModelError::Setting`] if one is out of its range.
    pub(super) fn check(&self) -> Result<(), ModelError> {
        let (Method::Palette(bits) | Method::Integers(bits)) = self.method;
        if !(2..=8).contains(&bits) {
            return Err(ModelError::Setting {
                setting: "bits of a symbol",
                range: "2 to 8",
                found: bits.to_string(),
            });
        }
        match self.bits {
            Some(average) if matches!(self.method, Method::Palette(_)) => {
                Err(ModelError::Setting {
                    setting: "average bits",
                    range: "left out for a palette",
                    found: average.to_string(),
                })
            }
            Some(average) if !(1.0..=8.0).contains(&average) => Err(ModelError::Setting {
                setting: "average bits",
                range: "1 to 8",
                found: average.to_string(),
            }),
            _ => Ok(()),
        }
    }
}
