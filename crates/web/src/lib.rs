//! The browser's module: a network whose layers come one by one, photos whose rows come in strips,
//! answers. It knows no file format, no names and no architecture; JavaScript reads the file and
//! tells what is in it (`web/weights.js`), as numbers of 32 bits (see [`mod@write`]) and bytes.
//!
//! ```text
//! network_open (shapes) -> network_layer for each layer -> network_plan
//! photo_rule -> for each photo: photo_begin -> photo_rows for each strip -> network_run
//! ```
//!
//! A page loads the module of its network's number type: there is a cargo feature for each.
//!
//! All that goes in is written to one buffer, which `scratch` makes room in. There is one network
//! in a module: another one needs another instance, whose memory goes when it goes.

mod error;
#[allow(unsafe_code, reason = "exported names")]
pub mod exports;
mod filter;
#[cfg(feature = "floats")]
mod float_network;
#[cfg(feature = "floats")]
mod float_predictors;
#[cfg(feature = "integers")]
mod integer_network;
#[cfg(feature = "integers")]
mod integer_predictors;
mod module;
mod network;
mod photo;
mod rule;
mod words;
pub mod write;

pub use error::WebError;
pub use filter::Filter;
pub use module::Module;
pub use rule::{Resize, Rule};
