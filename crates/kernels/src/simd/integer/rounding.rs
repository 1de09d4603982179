//! From sums to bytes, at the end of every kernel.

/// How sums become bytes. Kernels choose for all pixels of a tile or a block at once: a loop that may
/// call a function keeps nothing in vector registers, and what it calls a function with, in memory.
#[derive(Clone, Copy)]
pub(crate) enum Rounding<'a> {
    /// In vectors.
    F32(Scaling),
    /// By a function, which need not be fast.
    Exact(&'a dyn ExactRounding),
}

/// Sums as f32 times a factor, with ties to even.
#[derive(Clone, Copy)]
pub(crate) struct Scaling {
    /// One factor for each channel, and for as many more as a vector holds.
    pub(crate) factors: *const f32,
    /// Bounds of the product.
    pub(crate) bounds: [f32; 2],
    /// What is added to the rounded product.
    pub(crate) zero_point: i32,
}

/// A rounding without vectors.
pub(crate) trait ExactRounding: Sync {
    /// The byte for a sum of a channel.
    fn byte(&self, channel: usize, sum: i32) -> u8;
}
