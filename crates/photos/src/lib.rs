//! From a photo to the network's input: decode, resize and crop by the weights' rule, normalise.
//! Knows nothing of networks but the size and the range of their input.
//!
//! | module | content |
//! |---|---|
//! | `format` | which formats are read, recognised by content |
//! | `encoded` | a photo whose header is read: size, memory need, limits |
//! | `decode`, `jpeg` | bytes -> upright RGB; large JPEGs reduced while they are decoded |
//! | `rule`, `resize`, `views` | the rule that is stored with weights, and what it makes of a photo |
//! | [`fingerprint`] | recognises photos that were stored again |

mod decode;
mod encoded;
mod error;
pub mod fingerprint;
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
