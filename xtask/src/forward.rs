//! Runs the package `mobilenet-benches` for the commands that this package does not compile.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Builds that package if necessary and runs its program with the arguments of this one.
pub(crate) fn to_benches() -> ExitCode {
    match command(std::env::args_os().skip(1)).status() {
        // There is no code if a signal ended the program.
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
    // What cargo has set for this program. Build scripts look at it: dependencies would be compiled
    // again at every change between this program and that one.
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|start| ours.starts_with(start))
        {
            command.env_remove(name);
        }
    }
    command.args(["run", "--package", "mobilenet-benches", "--manifest-path"]);
    command.arg(manifest);
    // Use the same profile as this program.
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
        let removed = |name: &str| command.get_envs().any(|env| env == (name.as_ref(), None));
        assert!(removed("CARGO_MANIFEST_DIR") && removed("CARGO_PKG_NAME"));
    }
}
