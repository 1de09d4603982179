//! `tidy`: invariants of the project that the compiler does not know.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::docs::root;
use crate::output;

/// Where `unsafe` may stand; every block has its SAFETY line by clippy's word.
const UNSAFE_ALLOWED: [&str; 5] = [
    "crates/kernels/src/simd/",
    "crates/kernels/src/inference/",
    "crates/kernels/src/training/",
    "crates/kernels/src/layer/",
    "crates/model/tests/plan_allocations.rs",
];

/// Longest file of code, in lines.
const LONGEST: usize = 500;

/// What a crate must not depend on, or mention.
const LAYERS: [(&str, &[&str]); 5] = [
    (
        "crates/kernels",
        &[
            "candle",
            "MobileNet",
            "std::fs",
            "mobilenet_ops",
            "mobilenet_model",
        ],
    ),
    (
        "crates/ops",
        &["mobilenet_model", "mobilenet_train", "std::fs"],
    ),
    (
        "crates/model",
        &["mobilenet_train", "mobilenet_hub", "clap"],
    ),
    ("crates/hub", &["mobilenet_train", "clap"]),
    ("crates/train", &["clap"]),
];

pub(crate) fn run() -> Result<()> {
    let root = root();
    let mut files = Vec::new();
    for folder in ["crates", "xtask", "benches"] {
        collect(&root.join(folder), &mut files)?;
    }
    files.sort();
    let mut problems = Vec::new();
    for file in &files {
        let name = file
            .strip_prefix(&root)?
            .to_string_lossy()
            .replace('\\', "/");
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        problems.extend(
            check(&name, &text)
                .into_iter()
                .map(|problem| format!("{name}: {problem}")),
        );
    }
    if !problems.is_empty() {
        bail!("{} problems\n  {}", problems.len(), problems.join("\n  "));
    }
    output::line(format!("{} files are tidy", files.len()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn check(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    // Lists of facts in tests may be longer than code.
    if lines > LONGEST && !name.contains("/tests/") {
        problems.push(format!("{lines} lines, more than {LONGEST}"));
    }
    if !text.starts_with("//!") {
        problems.push("it does not say what it is (//!)".to_string());
    }
    let code = |line: &&str| !line.trim_start().starts_with("//");
    if !UNSAFE_ALLOWED.iter().any(|place| name.starts_with(place)) {
        let keyword = ["unsafe", " {"].concat();
        let found = text
            .lines()
            .filter(code)
            .any(|line| line.contains(&keyword));
        if found {
            problems.push("unsafe outside its places".to_string());
        }
    }
    for (layer, forbidden) in LAYERS {
        let inside = name
            .strip_prefix(layer)
            .is_some_and(|rest| rest.starts_with("/src/"));
        // Unit tests may do what the crate must not.
        let own = text.split("#[cfg(test)]").next().unwrap_or(text);
        for word in forbidden.iter().filter(|_| inside) {
            if own.lines().filter(code).any(|line| line.contains(word)) {
                problems.push(format!("`{word}` has no place in {layer}"));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_tidy() {
        run().unwrap();
    }

    #[test]
    fn what_is_not_tidy_is_found() {
        let found = |name: &str, text: &str| check(name, text).join("; ");
        assert_eq!(found("crates/ops/src/a.rs", "//! A.\n"), "");
        assert!(found("crates/ops/src/a.rs", "fn a() {}").contains("what it is"));
        let block = format!("//! A.\nfn a() {{ {} {{ }} }}", "unsafe");
        assert!(found("crates/ops/src/a.rs", &block).contains("outside its places"));
        assert_eq!(found("crates/kernels/src/simd/a.rs", &block), "");
        assert!(found("crates/kernels/src/a.rs", "//! A.\nuse candle_core;").contains("no place"));
        assert!(found("xtask/src/a.rs", &"//! A\n".repeat(501)).contains("501 lines"));
    }
}
