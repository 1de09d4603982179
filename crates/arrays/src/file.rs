//! Writes files atomically.

use std::io::Write;
use std::path::Path;

/// Writes a file atomically: to a temporary file in the same folder, which is synced and then
/// renamed.
///
/// # Errors
/// If the file cannot be written. The target is then unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".mobilenet-").suffix(".partial");
    // Temporary files are private by default. This one gets the usual permissions.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
