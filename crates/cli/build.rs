//! Tells the program which commit it is built from.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let head = Path::new("../../.git/HEAD");
    if head.exists() {
        println!("cargo::rerun-if-changed={}", head.display());
        println!("cargo::rerun-if-changed=../../.git/logs/HEAD");
    }
    let commit = Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output()
        .ok()
        .filter(|output| output.status.success() && head.exists())
        .and_then(|output| String::from_utf8(output.stdout).ok());
    if let Some(commit) = commit {
        println!("cargo::rustc-env=MOBILENET_COMMIT={}", commit.trim());
    }
}
