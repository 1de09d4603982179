//! One photo file -> prepared pixels.

use std::path::Path;

use mobilenet_model::preprocess::{DecodeOptions, EncodedPhoto, Preprocessing, Reduction};

use super::budget::Budget;
use super::options::PhotoOptions;
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
    path: &Path,
    preprocessing: &Preprocessing,
    options: &PhotoOptions,
    budget: &Budget,
) -> Result<Prepared, Error> {
    let encoded = EncodedPhoto::open(path, options.limits)?;
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
    let pixels = pixels.map_err(|error| error.of_photo(path.display().to_string()))?;
    drop((decoded.photo, share));
    Ok(Prepared {
        pixels,
        #[cfg(feature = "detect")]
        size,
        warning: decoded.warning,
    })
}
