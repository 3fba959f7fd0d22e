//! Files with dupr's mark: written whole, put back if what follows fails, and never over a file without the mark.

use crate::engine::error::{Error, ErrorKind, Result};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A file to write, or to remove where there is no text.
pub type Wanted = (PathBuf, Option<String>);

/// Files as they were, to be put back.
#[derive(Debug, Default)]
pub struct Undo(Vec<(PathBuf, Option<String>)>);

/// Writes and removes files. Those that are as wanted are not touched.
///
/// # Errors
/// A file that is not dupr's, or a directory that cannot be written. What was done before is undone.
pub fn apply(wanted: &[Wanted], mark: &str) -> Result<Undo> {
    let mut before = Vec::new();
    for (path, _) in wanted {
        before.push(read(path, mark)?);
    }
    let mut undo = Undo::default();
    for ((path, text), old) in wanted.iter().zip(before) {
        if *text == old {
            continue;
        }
        if let Err(e) = put(path, text.as_deref()) {
            undo.all();
            return Err(e);
        }
        undo.0.push((path.clone(), old));
    }
    Ok(undo)
}

impl Undo {
    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts every file back, as far as that is possible.
    pub fn all(self) {
        for (path, old) in self.0.into_iter().rev() {
            let _ = put(&path, old.as_deref());
        }
    }
}

/// The text of a file of dupr's; `None` if there is none.
///
/// # Errors
/// There is one, and it is somebody else's.
pub fn read(path: &Path, mark: &str) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.contains(mark) => Ok(Some(text)),
        Ok(_) => Err(Error::new(
            ErrorKind::Usage,
            format!(
                "{} was not written by dupr and is left alone",
                path.display()
            ),
        )
        .with_hint("move it away, or give the profile another name; nothing was changed")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path, e)),
    }
}

/// Files of a directory whose names begin and end so and that hold the mark, by what stands between.
pub fn list(directory: &Path, begin: &str, end: &str, mark: &str) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut all: Vec<(String, String)> = entries
        .filter_map(|e| {
            let name = e.ok()?.file_name().into_string().ok()?;
            let middle = name.strip_prefix(begin)?.strip_suffix(end)?.to_owned();
            let text = read(&directory.join(&name), mark).ok()??;
            Some((middle, text))
        })
        .collect();
    all.sort();
    all
}

fn put(path: &Path, text: Option<&str>) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let Some(text) = text else {
        return match std::fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path, e)),
            _ => Ok(()),
        };
    };
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(text.as_bytes())?;
        // Managers of services want to read them; there is no secret in them.
        file.as_file()
            .set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.as_file().sync_all()?;
        file.persist(path).map(|_| ()).map_err(|e| e.error)
    };
    write().map_err(|e| Error::io("write", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_stay_and_failures_are_undone() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("stranger"), "mine").unwrap();
        std::fs::write(path("own"), "mark old").unwrap();
        let wanted = [
            (path("own"), Some("mark new".to_owned())),
            (path("stranger"), Some("mark".to_owned())),
        ];
        assert!(apply(&wanted, "mark").is_err());
        assert_eq!(std::fs::read_to_string(path("own")).unwrap(), "mark old");
        let wanted = [
            (path("own"), None),
            (path("deep/new"), Some("mark".to_owned())),
            // A file cannot be made below a file.
            (path("stranger/x"), Some("mark".to_owned())),
        ];
        assert!(apply(&wanted, "mark").is_err());
        assert_eq!(std::fs::read_to_string(path("own")).unwrap(), "mark old");
        assert!(!path("deep/new").exists());
        let undo = apply(&wanted[..2], "mark").unwrap();
        assert!(!path("own").exists() && path("deep/new").exists());
        undo.all();
        assert!(path("own").exists() && !path("deep/new").exists());
        assert!(
            apply(&[(path("own"), Some("mark old".into()))], "mark")
                .unwrap()
                .is_empty()
        );
    }
}
