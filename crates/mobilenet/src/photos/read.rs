//! One photo -> prepared pixels.

use mobilenet_model::preprocess::{DecodeOptions, Preprocessing, Reduction};

use super::budget::Budget;
use super::options::PhotoOptions;
use super::source::PhotoSource;
use crate::error::Error;

/// A photo as the network takes it.
pub(crate) struct Prepared {
    /// Pixels of all views.
    pub(crate) pixels: Vec<f32>,
    /// Rows and columns of the photo, upright.
    #[cfg(feature = "detect")]
    pub(crate) size: [usize; 2],
    /// What is missing in the photo, where that is allowed.
    pub(crate) warning: Option<String>,
}

/// Reads a photo within a share of the memory that several threads have.
pub(crate) fn read(
    source: &PhotoSource,
    preprocessing: &Preprocessing,
    options: &PhotoOptions,
    budget: &Budget,
) -> Result<Prepared, Error> {
    let encoded = source.open(options.limits)?;
    let size = encoded.size();
    let reduction = match options.exact {
        true => Reduction::None,
        false => preprocessing.reduction(size),
    };
    let share = budget.take(encoded.memory(reduction));
    let decoded = encoded.decode(DecodeOptions {
        limits: options.limits,
        reduction,
        lenient: options.lenient,
    })?;
    let pixels = preprocessing.views(&decoded.photo);
    let name = || source.name().display().to_string();
    let pixels = pixels.map_err(|error| error.of_photo(name()))?;
    drop((decoded.photo, share));
    Ok(Prepared {
        pixels,
        #[cfg(feature = "detect")]
        size,
        warning: decoded.warning,
    })
}
