//! Local writes that survive a crash: temp file, fsync, rename, fsync of the directory.

use crate::engine::error::{Error, Result};
use std::fs::File;
use std::path::Path;
use tempfile::NamedTempFile;

/// Gives a finished temp file its final name, durably. The temp file must lie on the same file system.
///
/// # Errors
/// Whatever the file system reports; the old file of that name is then still there.
pub fn install(temp: NamedTempFile, path: &Path) -> Result<()> {
    temp.as_file()
        .sync_all()
        .map_err(|e| Error::io("write", path, e))?;
    temp.persist(path)
        .map_err(|e| Error::io("write", path, e.error))?;
    match path.parent() {
        Some(dir) => sync_dir(dir),
        None => Ok(()),
    }
}

/// Makes renames and removals in a directory durable.
///
/// # Errors
/// The directory cannot be opened or synced.
pub fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(|e| Error::io("sync", dir, e))
}
