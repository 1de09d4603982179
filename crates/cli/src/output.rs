//! Standard output. It may be a pipe whose reader has closed it.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

/// Prints a line.
pub fn line(text: impl AsRef<str>) -> Result<()> {
    writeln!(io::stdout(), "{}", text.as_ref())?;
    Ok(())
}

/// Prints whole lines.
pub(crate) fn text(lines: &str) -> Result<()> {
    io::stdout().write_all(lines.as_bytes())?;
    Ok(())
}

/// Prints one JSON object on a line.
pub fn json(value: &impl Serialize) -> Result<()> {
    line(serde_json::to_string(value)?)
}

/// Whether the reader of our output has closed the pipe, as in `... | head`. That is no failure.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
