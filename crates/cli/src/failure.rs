//! How a command fails: its exit code, and the reason in one line.

use std::process::ExitCode;

use anyhow::{Error, Result};

use crate::output;

/// The program's exit code: 0 for success, 1 for a failure, whose reason is printed to standard
/// error. Wrong usage (exit code 2) is mostly found earlier, while arguments are parsed.
pub fn exit_code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<clap::Error>() => {
            eprint!("{error}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("error: {}", reason(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes. What a message says of its cause, as those of our libraries do, is not
/// said again.
pub(crate) fn reason(error: &Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use anyhow::Context;
    use mobilenet::model::npy;

    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let missing: Result<_> = npy::read(&PathBuf::from("missing.npy")).map_err(Error::from);
        let error = missing.context("cannot read the input").unwrap_err();
        let cause = std::fs::File::open("missing.npy").unwrap_err();
        let expected = format!("cannot read the input: missing.npy: {cause}");
        assert_eq!(reason(&error), expected);
    }
}
