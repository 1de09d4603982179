//! Photo files -> answers: one file, or many in parallel.
//!
//! | file | what |
//! |---|---|
//! | `options` | the options of all that |
//! | `budget` | how much the workers may decode at a time |
//! | `source` | where a photo is: in a file, or in memory |
//! | `read` | one file: read, decode, resize |
//! | `answer` | one file -> its classes |
//! | `files` | many: workers, order, panics |

mod answer;
mod budget;
mod files;
mod options;
mod read;
mod source;

pub use answer::Answer;
#[cfg(feature = "detect")]
pub(crate) use budget::Budget;
pub use files::{ClassifyFiles, FileAnswer, FileAnswers};
pub use options::PhotoOptions;
#[cfg(feature = "detect")]
pub(crate) use read::read;
pub use source::PhotoSource;
