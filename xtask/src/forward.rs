//! Commands that are run by the package `mobilenet-benches`, which this one does not compile.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Builds that package where it is not built, and gives its program this one's arguments.
pub(crate) fn to_benches() -> ExitCode {
    match command(std::env::args_os().skip(1)).status() {
        // A signal has no code.
        Ok(status) => ExitCode::from(status.code().unwrap_or(1) as u8),
        Err(error) => {
            eprintln!("error: cannot run cargo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn command(arguments: impl Iterator<Item = OsString>) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let manifest = workspace.unwrap_or(Path::new("")).join("Cargo.toml");
    let mut command = Command::new(cargo);
    command.args(["run", "--package", "mobilenet-benches", "--manifest-path"]);
    command.arg(manifest);
    // As this program was built.
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    command.arg("--").args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_passed_on_as_they_are() {
        let given = ["bench", "--engine", "eager", "a b"].map(OsString::from);
        let command = command(given.clone().into_iter());
        let passed: Vec<_> = command.get_args().collect();
        let at = passed
            .iter()
            .position(|argument| *argument == "--")
            .unwrap();
        assert_eq!(passed[at + 1..], given);
        assert_eq!(passed[0], "run");
    }
}
