//! Installs what engines need: a virtual environment for each Python peer under `target/peers`, and
//! the two Rust programs. If one peer cannot be installed, the others are still measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use mobilenet::kernels::simd::Isa;

use super::hold::holds_all;

/// An engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) kind: PeerKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PeerKind {
    /// `benches/src/bin/peer.rs`.
    Ours,
    /// `benches/peers/peer.py`.
    Python,
    /// `benches/peers/rust`.
    Rust,
}

/// All engines.
pub(super) fn peers() -> Vec<Peer> {
    let of = |kind, names: &[&'static str]| -> Vec<Peer> {
        names.iter().map(|&name| Peer { name, kind }).collect()
    };
    [
        of(PeerKind::Ours, &["plan", "eager"]),
        of(
            PeerKind::Python,
            &["onnxruntime", "openvino", "litert", "ncnn", "pytorch"],
        ),
        of(PeerKind::Rust, &["tract", "rten"]),
        of(PeerKind::Ours, &["candle"]),
    ]
    .concat()
}

/// Succeeds if all packages of a list are there in its versions.
const HAS_PACKAGES: &str = "\
import importlib.metadata, sys
for line in open(sys.argv[1]):
    name, version = line.strip().split('==')
    assert importlib.metadata.version(name).split('+')[0] == version, name
";

/// Folders and programs.
pub(super) struct Environment {
    sources: PathBuf,
    built: PathBuf,
    target: PathBuf,
    /// A Python that may have packages of peers.
    python: Option<PathBuf>,
    /// The library that holds engines to AVX2, where it is needed and the machine lets it.
    hold: Option<PathBuf>,
}

impl Environment {
    /// Builds our own programs. Peers are installed on first use.
    pub(super) fn new(root: &Path, python: Option<PathBuf>) -> Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR");
        let target = target.map_or(root.join("target"), PathBuf::from);
        let mut environment = Self {
            sources: root.join("benches/peers"),
            built: target.join("peers"),
            target,
            python,
            hold: None,
        };
        std::fs::create_dir_all(&environment.built)?;
        // The second is the program that users install, which has no candle.
        for program in [
            &["--bin", "peer"][..],
            &["--package", "mobilenet-cli", "--bin", "mobilenet"],
        ] {
            let mut cargo = Command::new("cargo");
            cargo.args(["build", "--release", "--quiet"]).args(program);
            cargo.arg("--target-dir").arg(&environment.target);
            cargo.current_dir(root);
            run(cargo)?;
        }
        if holds_all(Isa::best()?) {
            let built = environment.outside("hold")?;
            environment.hold = Some(built.join("libhold.so"));
        }
        Ok(environment)
    }

    /// Our engines.
    pub(super) fn ours(&self) -> PathBuf {
        self.target.join("release/peer")
    }

    /// The program `mobilenet`.
    pub(super) fn program(&self) -> PathBuf {
        self.target.join("release/mobilenet")
    }

    /// The Python of a peer: the given one, if it has the peer's packages; otherwise that of a virtual
    /// environment, which is made on first use.
    pub(super) fn python(&self, peer: &str) -> Result<PathBuf> {
        let requirements = self.sources.join(format!("requirements/{peer}.txt"));
        if let Some(python) = &self.python {
            let mut command = Command::new(python);
            command.args(["-c", HAS_PACKAGES]).arg(&requirements);
            if run(command).is_ok() {
                return Ok(python.clone());
            }
        }
        let folder = self.built.join(peer);
        let python = folder.join("bin/python");
        let done = folder.join("installed");
        if !done.exists() {
            eprintln!("installing {peer}");
            let mut venv = Command::new("python3");
            venv.args(["-m", "venv"]).arg(&folder);
            run(venv)?;
            let mut pip = Command::new(&python);
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
            ]);
            pip.arg(requirements);
            run(pip).with_context(|| format!("cannot install {peer}"))?;
            std::fs::write(done, "")?;
        }
        Ok(python)
    }

    /// A script in `benches/peers`.
    pub(super) fn script(&self, name: &str) -> PathBuf {
        self.sources.join(name)
    }

    /// The program of tract and rten, which is built on first use.
    pub(super) fn rust(&self) -> Result<PathBuf> {
        let built = self.outside("rust")?;
        Ok(built.join("rust-peers"))
    }

    /// The library that holds engines, if there is one.
    pub(super) fn hold(&self) -> Option<&Path> {
        self.hold.as_deref()
    }

    /// Builds a package of `benches/peers`, which is outside the workspace. Returns the folder of what was
    /// built.
    fn outside(&self, package: &str) -> Result<PathBuf> {
        let target = self.built.join(package);
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--release", "--quiet", "--manifest-path"]);
        cargo
            .arg(self.sources.join(package).join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target);
        run(cargo).with_context(|| format!("cannot build benches/peers/{package}"))?;
        Ok(target.join("release"))
    }
}

/// Runs a command to its end. An error contains the last line of the command's error output.
pub(super) fn run(mut command: Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("it printed no error");
        bail!("{last}");
    }
    Ok(())
}
