//! How photo files are read, and what is told of them.

use mobilenet_model::preprocess::DecodeLimits;

/// How photo files are read and classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhotoOptions {
    /// Number of best classes in an answer. A detector has a limit of its own.
    pub top: usize,
    /// What decoding one photo may take.
    pub limits: DecodeLimits,
    /// Bytes that photos may take together while they are decoded. A photo that takes more is
    /// decoded while no other is.
    pub memory: u64,
    /// Whether every pixel is decoded. Otherwise a JPEG that is far larger than the network's input
    /// is decoded at a reduced size, which moves probabilities by about as much as another JPEG
    /// decoder does: by less than 0.01 in our tests, by up to 0.025 in single cases.
    pub exact: bool,
    /// Whether a photo that is cut off or broken is classified by what is there of it, with a
    /// warning.
    pub lenient: bool,
}

impl Default for PhotoOptions {
    /// Five classes, 128 MiB.
    fn default() -> Self {
        Self {
            top: 5,
            limits: DecodeLimits::default(),
            memory: 128 << 20,
            exact: false,
            lenient: false,
        }
    }
}
