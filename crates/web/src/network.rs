//! What networks of every number type have in common: layers that come one by one, then runs.

use mobilenet_kernels::ConvGeometry;

use crate::error::{WebError, check_size};
use crate::words::Words;

/// Most layers of a network.
pub(crate) const MOST_LAYERS: usize = 1 << 10;
/// Most values of a map, and of all predictors of a detector.
const MOST_VALUES: usize = 1 << 26;

/// Whether the module has detectors. Those with threads have none: they would be larger than a page
/// should have to load.
pub(crate) const DETECTS: bool = cfg!(not(all(target_arch = "wasm32", target_feature = "atomics")));

/// Number of a detector's branches; 0 if it is none.
pub(crate) fn count_branches(words: &mut Words<'_>) -> Result<usize, WebError> {
    match words.count()? {
        0 => Ok(0),
        _ if !DETECTS => Err(WebError::Order(
            "a detector is for a module without threads",
        )),
        branches => {
            check_size("the number of branches", branches, MOST_LAYERS)?;
            Ok(branches)
        }
    }
}

/// A network whose layers are still to come. (With `Debug`, each file of the module would have code
/// that prints all of a network, which nobody calls.)
pub(crate) trait Layers: Send {
    /// Takes the next layer's bytes; `kind` is the type of its weights, where there are several.
    fn layer(&mut self, kind: u32, bytes: &[u8]) -> Result<(), WebError>;

    /// Plans the computation, once all layers have come, for a number of threads.
    fn plan(self: Box<Self>, threads: usize) -> Result<Box<dyn Network>, WebError>;
}

/// A network that is ready to run.
pub(crate) trait Network: Send {
    /// Number of features, and of classes.
    fn outputs(&self) -> [usize; 2];

    /// Computes features and logits of an input.
    fn run(
        &mut self,
        input: &[f32],
        features: &mut [f32],
        logits: &mut [f32],
    ) -> Result<(), WebError>;
}

/// How many threads a network is planned for. In a module whose memory no other thread has it is a
/// constant, which leaves out a tenth of the file.
#[inline(always)]
pub(crate) fn possible(threads: usize) -> usize {
    if cfg!(all(target_arch = "wasm32", not(target_feature = "atomics"))) {
        1
    } else {
        threads
    }
}

/// Number of values of the first two outputs.
pub(crate) fn lengths(shapes: &[[usize; 3]]) -> [usize; 2] {
    let length = |index: usize| shapes.get(index).map_or(0, |shape| shape.iter().product());
    [length(0), length(1)]
}

/// Rows and columns of the map after a layer; a map must not be too large to keep.
pub(crate) fn resolve(
    geometry: &ConvGeometry,
    [rows, columns]: [usize; 2],
    channels: usize,
) -> Result<[usize; 2], WebError> {
    let size = geometry.resolve(1, rows, columns)?;
    let [rows, columns] = [size.rows.output, size.columns.output];
    let values = rows.saturating_mul(columns).saturating_mul(channels);
    check_size("the values of a map", values, MOST_VALUES)?;
    Ok([rows, columns])
}

/// Adds a predictor's values to those of the others, which must not be too many to keep.
pub(crate) fn add_predictions(
    values: &mut usize,
    geometry: &ConvGeometry,
    map: [usize; 2],
    channels: usize,
) -> Result<(), WebError> {
    let [rows, columns] = resolve(geometry, map, channels)?;
    *values += rows * columns * channels;
    check_size("the values of all predictors", *values, MOST_VALUES)
}

/// Little-endian numbers.
pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    let chunks = bytes.as_chunks().0.iter();
    chunks.map(|&bytes| f32::from_le_bytes(bytes)).collect()
}
