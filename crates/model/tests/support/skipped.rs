//! Reports what a test skips.

use std::fmt::Display;
use std::io::Write;

/// Prints a line to standard error directly, because the test harness hides the output of a passing
/// test.
pub fn skipped(what: impl Display) {
    let line = format!("SKIPPED: {what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
