//! What a test leaves out, said where a reader sees it.

use std::fmt::Display;
use std::io::Write;

/// Prints a line past the test harness, which would keep it back as long as the test passes.
pub fn skipped(what: impl Display) {
    let line = format!("SKIPPED: {what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
