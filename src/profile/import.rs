//! Profiles of other programs, as profiles of dupr. Nothing is guessed in silence: what has no counterpart becomes a
//! comment and a warning.

#[cfg(test)]
mod bench;
pub mod borgmatic;
pub mod deja_dup;
pub mod duply;
mod params;
pub mod script;

use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Another program's profile, translated.
#[derive(Debug)]
pub struct Imported {
    /// Name of the profile.
    pub name: String,
    /// The text of `profile.toml`.
    pub toml: String,
    /// Further files of its folder.
    pub files: Vec<ImportedFile>,
    /// What to look at before the first run.
    pub warnings: Vec<String>,
}

/// A file beside the profile.
#[derive(Debug)]
pub struct ImportedFile {
    /// Its name.
    pub name: String,
    /// What is in it; secrets among them, so it is not shown.
    pub content: Secret,
    /// Whether it is a program.
    pub executable: bool,
}

impl Imported {
    /// Writes the folder into `dest`: itself 0700, its files 0600 or 0700.
    ///
    /// # Errors
    /// A folder of that name is there already, or cannot be written.
    pub fn write(&self, dest: &Path) -> Result<PathBuf> {
        let folder = dest.join(&self.name);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dest)
            .map_err(|e| Error::io("make", dest, e))?;
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(|e| match e.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    let text = format!("{} is there already", folder.display());
                    Error::new(ErrorKind::Usage, text)
                        .with_hint("move it away, or choose another folder with --into")
                }
                _ => Error::io("make", &folder, e),
            })?;
        let profile = ImportedFile {
            name: "profile.toml".to_owned(),
            content: Secret::new(self.toml.as_bytes()),
            executable: false,
        };
        for file in self.files.iter().chain([&profile]) {
            let path = folder.join(&file.name);
            let mode = if file.executable { 0o700 } else { 0o600 };
            let mut out = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&path)
                .map_err(|e| Error::io("create", &path, e))?;
            out.write_all(file.content.expose())
                .map_err(|e| Error::io("write", &path, e))?;
            out.sync_all().map_err(|e| Error::io("write", &path, e))?;
        }
        Ok(folder)
    }
}

/// A string as TOML.
fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A path as it stands in a URL.
fn url_path(path: &Path) -> String {
    const PLAIN: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    percent_encoding::percent_encode(path.as_os_str().as_bytes(), PLAIN).to_string()
}

fn list(values: &[String]) -> String {
    format!(
        "[{}]",
        values
            .iter()
            .map(|v| quote(v))
            .collect::<Vec<_>>()
            .join(", ")
    )
}

/// A file that sets variables, for `EnvironmentFile=` of a unit or a shell.
fn environment_file(variables: &[(String, String)]) -> ImportedFile {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let lines = variables.iter();
    let lines: String = lines.map(|(n, v)| format!("{n}={}\n", quoted(v))).collect();
    ImportedFile {
        name: "environment".to_owned(),
        content: Secret::new(lines),
        executable: false,
    }
}

/// A file with a secret, and the words by which a profile refers to it.
fn secret_file(name: &str, secret: &str) -> (ImportedFile, String) {
    let file = ImportedFile {
        name: name.to_owned(),
        content: Secret::new(format!("{secret}\n")),
        executable: false,
    };
    (file, format!("{{ file = {} }}", quote(name)))
}
