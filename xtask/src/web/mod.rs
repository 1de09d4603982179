//! `web`: the page and the package for browsers, in one folder that any web server can serve.

mod compile;
mod container;
mod converted;
mod detector;
mod files;
mod single_file;
mod weights;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use mobilenet::model::file::write_atomically;
use xtask::{Web, WebType};

/// Weights that are always there: they are in the repository.
const EMBEDDED: &str = "crates/mobilenet/weights/fashion_mnist_0.25_96.safetensors";

/// The page in one file.
const SINGLE: &str = "mobilenet.html";

pub(crate) fn run(arguments: &Web) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = root.parent().context("this package is in no workspace")?;
    let sources = root.join("web");
    let folder = arguments.out.join("weights");
    let mut offered = Vec::new();
    for name in &arguments.weights {
        offered.push(weights::convert(name, arguments.dtype)?);
    }
    let embedded = root.join(EMBEDDED).display().to_string();
    for dtype in [WebType::F16, WebType::Int8] {
        offered.push(weights::convert(&embedded, dtype)?.called("fashion_mnist"));
    }
    // After the weights, which may be none: it takes a minute.
    let modules = compile::modules(root)?;
    if arguments.single_file {
        create(&arguments.out)?;
        let page = single_file::page(&sources, &modules, &offered)?;
        write(&arguments.out, SINGLE, page.as_bytes())?;
        println!(
            "{}: open it in a browser",
            arguments.out.join(SINGLE).display()
        );
        return Ok(());
    }
    create(&folder)?;
    for (name, bytes) in &modules {
        write(&arguments.out, name, bytes)?;
    }
    for converted in &offered {
        write(&folder, &converted.file(), &converted.bytes)?;
    }
    for name in files::copied(&sources)? {
        let bytes =
            fs::read(sources.join(&name)).with_context(|| format!("cannot read web/{name}"))?;
        write(&arguments.out, &name, &bytes)?;
    }
    write(&arguments.out, "models.json", &files::models(&offered)?)?;
    println!(
        "{}: serve this folder, for example by `python3 -m http.server --directory {0}`",
        arguments.out.display()
    );
    Ok(())
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    write_atomically(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
