//! From a photo to the network's input: decode, resize and crop by the weights' rule, normalise.

mod decode;
mod encoded;
mod error;
mod format;
mod jpeg;
mod resize;
mod rule;
mod views;

pub use decode::{decode, open};
pub use encoded::{DecodeLimits, DecodeOptions, Decoded, EncodedPhoto, Photo};
pub use error::PhotoError;
pub use format::{PHOTO_ENDINGS, has_photo_ending};
pub use jpeg::Reduction;
pub use resize::{CropRounding, Filter, Resize};
pub use rule::Preprocessing;
pub use views::Views;
