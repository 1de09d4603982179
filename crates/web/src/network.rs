//! What networks of every number type have in common: layers that come one by one, then runs.

use mobilenet_kernels::ConvGeometry;

use crate::error::{WebError, check_size};

/// Most layers of a network.
pub(crate) const MOST_LAYERS: usize = 1 << 10;
/// Most values of a map.
const MOST_VALUES: usize = 1 << 26;

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

/// Little-endian numbers.
pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    let chunks = bytes.as_chunks().0.iter();
    chunks.map(|&bytes| f32::from_le_bytes(bytes)).collect()
}
