//! Photo files -> answers: one file, or many in parallel.
//!
//! | file | what |
//! |---|---|
//! | `answer` | one file: read, decode, resize, classify; the options of all that |
//! | `files` | many: workers, order, panics |
//! | `budget` | how much the workers may decode at a time |

mod answer;
mod budget;
mod files;

pub use answer::{Answer, PhotoOptions};
pub use files::{ClassifyFiles, FileAnswer};
