//! `completions` and `manual`: files for the shell and for `man`, made from the arguments' help.

use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;
use mobilenet::model::file::write_atomically;

use crate::Cli;
use crate::args::{Completions, Manual};

pub(crate) fn completions(arguments: &Completions) -> Result<()> {
    let mut script = Vec::new();
    let mut command = Cli::command();
    clap_complete::generate(arguments.shell, &mut command, "mobilenet", &mut script);
    crate::output::text(&String::from_utf8_lossy(&script))
}

/// Writes `mobilenet.1` and one page for each command.
pub(crate) fn manual(arguments: &Manual) -> Result<()> {
    let folder = &arguments.folder;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    let mut command = Cli::command();
    command.build();
    page(folder, "mobilenet", &command)?;
    for command in command.get_subcommands() {
        page(
            folder,
            &format!("mobilenet-{}", command.get_name()),
            command,
        )?;
    }
    Ok(())
}

fn page(folder: &Path, name: &str, command: &clap::Command) -> Result<()> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name)
        .render(&mut text)?;
    let path = folder.join(format!("{name}.1"));
    write_atomically(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    crate::output::line(path.display().to_string())
}
