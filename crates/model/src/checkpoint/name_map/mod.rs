//! What each framework calls our parameters, and in which layout it keeps them; one file per
//! framework. What its files do not say about themselves (epsilon, padding, preprocessing) is
//! here as well, since it follows from the framework.
//!
//! | file | what |
//! |---|---|
//! | `convention` | what is to be known of a framework |
//! | `table` | the frameworks, one row each |
//! | `ours`, `slim`, `hugging_face`, `timm`, `keras`, `keras_counted` | a framework each |
//! | `pytorch` | what transformers and timm share |
//! | `limits` | what a framework's own MobileNetV1 may lack |
//! | `names` | what tells the tensors of a file apart |
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
