//! Compiles the module for each number type, with plain SIMD, with relaxed SIMD, and with threads: a
//! page loads only the type that it uses, and a browser that lacks an instruction refuses the whole
//! file.
//!
//! The standard library for WebAssembly is compiled with it, from the source that comes with the
//! compiler. rustup's compiler is used if its source is there, otherwise Debian's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

const TARGET: &str = "wasm32-unknown-unknown";

/// A file of the module.
struct Module {
    name: &'static str,
    /// Features of the target: its instructions.
    instructions: &'static str,
    /// Cargo's feature: its number type.
    numbers: &'static str,
}

impl Module {
    /// How LLVM optimises it. For size, it leaves the loop over the pixels of a tile of six as it is,
    /// and their sums in memory. The other files have tiles of four.
    fn level(&self) -> &'static str {
        match (self.numbers, self.instructions) {
            ("floats", RELAXED) => "3",
            ("floats", _) => "\"s\"",
            _ => "\"z\"",
        }
    }
}

const PLAIN: &str = "+simd128";
const RELAXED: &str = "+simd128,+relaxed-simd";
/// For browsers that have relaxed SIMD and let workers share memory.
const THREADS: &str = "+simd128,+relaxed-simd,+atomics,+bulk-memory";

/// Where the memory comes from outside, and what a thread needs to have a stack and variables.
const THREADS_LINK: [&str; 7] = [
    "--shared-memory",
    "--import-memory",
    // 4,096 pages, as `web/engine.js` says.
    "--max-memory=268435456",
    "--export=__stack_pointer",
    "--export=__wasm_init_tls",
    "--export=__tls_size",
    "--export=__tls_align",
];

/// LLVM would load the values of all pixels of a tile before it multiplies, and the browser's compiler
/// would keep what does not fit its registers in memory. In the source's order, a tile can have half
/// as many sums again.
const ORDER: &str = "-pre-RA-sched=source";

/// `strip` in a profile keeps the names of functions, a tenth of a file.
const STRIP: &str = "--strip-all";

/// Those of the same instructions follow each other: they share a standard library.
const MODULES: [Module; 6] = [
    module("mobilenet.wasm", PLAIN, "floats"),
    module("mobilenet.integers.wasm", PLAIN, "integers"),
    module("mobilenet.relaxed.wasm", RELAXED, "floats"),
    module("mobilenet.integers.relaxed.wasm", RELAXED, "integers"),
    module("mobilenet.threads.wasm", THREADS, "floats"),
    module("mobilenet.integers.threads.wasm", THREADS, "integers"),
];

const fn module(name: &'static str, instructions: &'static str, numbers: &'static str) -> Module {
    Module {
        name,
        instructions,
        numbers,
    }
}

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
    for module in MODULES {
        let name = module.name;
        toolchain
            .build(root, &target, &module)
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

    fn build(&self, root: &Path, target: &Path, module: &Module) -> Result<()> {
        let mut flags = format!(
            "-Ctarget-feature={} -Cllvm-args={ORDER} -Zunstable-options -Cpanic=immediate-abort \
             -Clink-arg={STRIP}",
            module.instructions
        );
        if module.instructions == THREADS {
            for argument in THREADS_LINK {
                flags.push_str(" -Clink-arg=");
                flags.push_str(argument);
            }
        }
        let mut cargo = Command::new(&self.cargo);
        cargo
            .current_dir(root)
            .args(["rustc", "--locked", "--package", "mobilenet-web", "--lib"])
            .args(["--crate-type", "cdylib"])
            .args(["--no-default-features", "--features", module.numbers])
            .args(["--profile", "web", "--target", TARGET])
            .arg("--config")
            .arg(format!(
                "profile.web.package.mobilenet-web.opt-level={}",
                module.level()
            ))
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
            .env("RUSTFLAGS", flags)
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
