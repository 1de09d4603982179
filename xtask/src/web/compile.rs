//! Compiles the module twice, with plain and with relaxed SIMD: a browser that lacks an instruction
//! refuses the whole file.
//!
//! The standard library for WebAssembly is compiled with it, from the source that comes with the
//! compiler. rustup's compiler is used if its source is there, otherwise Debian's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

const TARGET: &str = "wasm32-unknown-unknown";

/// The files, and the instructions of each.
const MODULES: [(&str, &str); 2] = [
    ("mobilenet.wasm", "+simd128"),
    ("mobilenet.relaxed.wasm", "+simd128,+relaxed-simd"),
];

/// A compiler with the source of its standard library.
struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
    linker: PathBuf,
}

/// Names and bytes of the modules.
pub(super) fn modules(root: &Path) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let toolchain = Toolchain::find()?;
    let target = target_folder(root);
    let mut modules = Vec::new();
    for (name, features) in MODULES {
        toolchain
            .build(root, &target, features)
            .with_context(|| format!("cannot compile {name}"))?;
        let path = target.join(TARGET).join("web/mobilenet_web.wasm");
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        modules.push((name, bytes));
    }
    Ok(modules)
}

/// A folder of its own: its settings differ from those of all other builds.
fn target_folder(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| root.join("target")).join("web")
}

impl Toolchain {
    fn find() -> Result<Self> {
        let rustup = Command::new("rustup").args(["which", "rustc"]).output();
        let rustup = rustup
            .ok()
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
        let rustup = rustup.filter(|path| !path.is_empty()).map(PathBuf::from);
        let linker = rustup
            .iter()
            .chain([&PathBuf::from("/usr/bin/rustc")])
            .find_map(|rustc| linker(rustc));
        for rustc in rustup.iter().chain([&PathBuf::from("/usr/bin/rustc")]) {
            let cargo = rustc.with_file_name("cargo");
            let has_source = sysroot(rustc).is_some_and(|root| {
                root.join("lib/rustlib/src/rust/library/std/Cargo.toml")
                    .exists()
            });
            if let (true, true, Some(linker)) = (has_source, cargo.exists(), &linker) {
                return Ok(Self {
                    cargo,
                    rustc: rustc.clone(),
                    linker: linker.clone(),
                });
            }
        }
        let missing = if linker.is_some() {
            "the source of Rust's standard library"
        } else {
            "the linker rust-lld"
        };
        bail!(
            "{missing} is missing, which the module is compiled with; install it by\n    rustup \
             component add rust-src\nor, on Debian,\n    apt-get install --no-install-recommends \
             rustc-web cargo-web rust-web-src lld"
        )
    }

    fn build(&self, root: &Path, target: &Path, features: &str) -> Result<()> {
        let mut cargo = Command::new(&self.cargo);
        cargo
            .current_dir(root)
            .args(["rustc", "--locked", "--package", "mobilenet-web", "--lib"])
            .args(["--crate-type", "cdylib"])
            .args(["--profile", "web", "--target", TARGET])
            // What is said in a panic is heard by nobody, so it is left out.
            .args([
                "-Zbuild-std=std,panic_abort",
                "-Zbuild-std-features=optimize_for_size",
            ])
            .arg("--target-dir")
            .arg(target)
            // To compile the standard library is no stable feature.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", &self.rustc)
            .env(
                "RUSTFLAGS",
                format!("-Ctarget-feature={features} -Zunstable-options -Cpanic=immediate-abort"),
            )
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &self.linker)
            // Those of the cargo that runs this program.
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("RUSTUP_TOOLCHAIN");
        let status = cargo
            .status()
            .with_context(|| format!("cannot run {}", self.cargo.display()))?;
        if !status.success() {
            bail!("the compiler failed ({status})");
        }
        Ok(())
    }
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    let output = Command::new(rustc)
        .args(["--print", "sysroot"])
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}

/// The linker beside a compiler, or a system's own.
fn linker(rustc: &Path) -> Option<PathBuf> {
    let rustlib = sysroot(rustc)?.join("lib/rustlib");
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let beside = fs::read_dir(&rustlib)
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("bin/rust-lld"));
    let known = [
        rustlib.join(host).join("bin/rust-lld"),
        "/usr/bin/wasm-ld".into(),
        "/usr/bin/rust-lld".into(),
    ];
    known.into_iter().chain(beside).find(|path| path.exists())
}
