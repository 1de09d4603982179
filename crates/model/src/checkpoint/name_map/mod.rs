//! Names and layouts of our parameters in each framework, one file per framework. The files also
//! hold what follows from the framework where a checkpoint does not say it: epsilon, padding,
//! preprocessing.
//!
//! | file | content |
//! |---|---|
//! | `convention` | the type that describes a framework |
//! | `table` | the list of frameworks |
//! | `ours`, `slim`, `hugging_face`, `timm`, `keras`, `keras_counted` | one framework each |
//! | `pytorch` | what transformers and timm share |
//! | `limits` | what a framework's own MobileNetV1 may lack |
//! | `names` | the trait by which parameters are found in a file |
//! | `map` | a framework's names in a file |
//! | `training` | names of what training leaves in a file |

mod convention;
mod hugging_face;
pub(super) mod keras;
pub(super) mod keras_counted;
mod limits;
mod map;
mod names;
mod ours;
mod pytorch;
mod slim;
mod table;
mod timm;
pub(super) mod training;

pub use convention::Framework;
pub(super) use map::NameMap;
pub(super) use names::{Found, Names};
pub(super) use pytorch::BATCHES;
