//! From a photo to the network's input: decode, resize and crop by the weights' rule, normalise.

mod decode;
mod error;
mod resize;
mod rule;

pub use decode::{DecodeLimits, Photo, decode, open};
pub use error::PhotoError;
pub use resize::{CropRounding, Filter, Resize};
pub use rule::Preprocessing;
