//! What opening a target takes besides its URL. All of it is handed down: nothing below reads the environment.

use super::notices::Notices;
use crate::engine::context::Cancel;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

/// How to reach a target and how patiently.
#[derive(Debug, Clone)]
pub struct StorageOptions {
    /// Times an operation is tried in all, at least 1.
    // COMPAT(dup all): --num-retries has 5 as default.
    pub attempts: u32,
    /// Pause after the first failure; doubled after each further one, up to a minute, and varied by a quarter.
    pub backoff: Duration,
    /// How long a silent peer is waited for.
    // COMPAT(dup all): --timeout has 30 seconds as default.
    pub timeout: Duration,
    /// Bytes per second to the target at most, over all threads.
    pub upload_rate: Option<NonZeroU64>,
    /// Bytes per second from the target at most, over all threads.
    pub download_rate: Option<NonZeroU64>,
    /// Settings of the service by name; a name the service does not know is an error.
    ///
    /// s3, gs and b2: `endpoint`, `region`, `path-style`, `storage-class`, `credentials`, `checksum`, `encryption`,
    /// `kms-key`, `kms-grant`. azure: `endpoint`, `access-tier`. These four: `part-mb`, `parts-at-once`. swift, pca:
    /// `segment-mb`, `storage-policy`. dpbx, gdrive, onedrive: `endpoint`, `part-mb`. box: `endpoint`. webdav: `headers`. ftp: `data-connection`. imap: `mailbox`, `full-address`. All these: `ca-file`, `ca-folder`, `check-certificate`.
    /// sftp: `ssh-options`, `ssh-command`. rsync: `ssh-options`, `rsync-options`. rclone: `rclone-options`.
    /// Of `par2+`: `par2-redundancy`, `par2-volumes`, `par2-options`. A `multi` target hands each of its targets what that
    /// knows.
    pub settings: BTreeMap<String, String>,
    /// The environment the services may look at: credentials, and what `ssh` inherits.
    pub environment: Environment,
    /// Password for the target, unless the URL holds one.
    pub password: Option<Secret>,
    /// Names that stay in the standard storage class when `storage-class` is set. Archive classes take hours to
    /// read back, so what every run reads must not go there.
    pub standard_names: fn(&str) -> bool,
    /// Program that answers a password prompt of `ssh`: dupr itself, see [`askpass`](super::askpass).
    pub askpass: Option<PathBuf>,
    /// Where files of a `par2+` target are while they are checked: room for one for each thread that calls.
    pub temp_dir: PathBuf,
    /// What the target has to tell, see [`Storage::notices`](super::Storage::notices).
    pub notices: Notices,
    /// Checked during pauses and transfers: an urgent request ends them.
    pub cancel: Cancel,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            attempts: 5,
            backoff: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
            upload_rate: None,
            download_rate: None,
            settings: BTreeMap::new(),
            environment: Environment::default(),
            password: None,
            standard_names: |_| false,
            askpass: None,
            temp_dir: PathBuf::from("/tmp"),
            notices: Notices::default(),
            cancel: Cancel::new(),
        }
    }
}

impl StorageOptions {
    /// A setting of the service.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        self.settings
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// # Errors
    /// `Usage` if there is a setting that is not among `known`.
    pub(super) fn allow_only(&self, service: &str, known: &[&str]) -> Result<()> {
        match self
            .settings
            .keys()
            .find(|name| !known.contains(&name.as_str()))
        {
            None => Ok(()),
            Some(name) => Err(Error::new(
                ErrorKind::Usage,
                format!("the {service} service has no option `{name}`"),
            )
            .with_hint(if known.is_empty() {
                "it has no options at all".to_string()
            } else {
                format!("it knows {}", known.join(", "))
            })),
        }
    }
}

/// The password for a target.
// COMPAT(dup all): the password of the URL, else BACKEND_PASSWORD, else FTP_PASSWORD.
pub(super) fn first_password(url: Option<&Secret>, options: &StorageOptions) -> Option<Secret> {
    let variable = |name: &str| options.environment.get(name).map(Secret::new);
    url.cloned()
        .or_else(|| options.password.clone())
        .or_else(|| variable("BACKEND_PASSWORD"))
        .or_else(|| variable("FTP_PASSWORD"))
        .filter(|secret| !secret.is_empty())
}

/// Environment variables as data. `Debug` shows names, never values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The value of a variable that is set, not empty and UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(std::ffi::OsStr::new(name))
            .and_then(|value| value.to_str())
            .filter(|value| !value.is_empty())
    }

    /// Whether a program of this name can be found: a path, or in one of the folders of `PATH`.
    pub fn has_program(&self, name: &str) -> bool {
        let is_file = |path: &std::path::Path| path.is_file();
        if name.contains('/') {
            return is_file(name.as_ref());
        }
        let path = self.get("PATH").unwrap_or_default();
        !name.is_empty()
            && path
                .split(':')
                .any(|dir| is_file(&std::path::Path::new(dir).join(name)))
    }

    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.0.insert(name.into(), value.into());
    }

    /// Variables whose name starts with `prefix`.
    pub(super) fn starting_with(&self, prefix: &str) -> impl Iterator<Item = (OsString, OsString)> {
        self.0
            .iter()
            .filter(move |(name, _)| name.to_string_lossy().starts_with(prefix))
            .map(|(name, value)| (name.clone(), value.clone()))
    }

    /// Names and values that are text, of all variables.
    #[cfg(feature = "cloud")]
    pub(super) fn texts(&self) -> impl Iterator<Item = (String, String)> {
        let text = |text: &OsString| text.to_str().map(str::to_string);
        let pairs = self.0.iter();
        pairs.filter_map(move |(name, value)| Some((text(name)?, text(value)?)))
    }

    /// What a helper program may inherit: everything but what looks like a secret.
    pub(super) fn for_helpers(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        const SECRET: [&str; 10] = [
            "PASSPHRASE",
            "PASSWORD",
            "SECRET",
            "TOKEN",
            "APIKEY",
            "ACCESS_KEY",
            "APPLICATION_KEY",
            "STORAGE_KEY",
            "ACCOUNT_KEY",
            "CONNECTION_STRING",
        ];
        self.0.iter().filter(|(name, _)| {
            let name = name.to_string_lossy().to_ascii_uppercase();
            !SECRET.iter().any(|word| name.contains(word))
        })
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_value() {
        let options = StorageOptions {
            environment: [("AWS_SECRET_ACCESS_KEY", "canary")].into_iter().collect(),
            password: Some(Secret::new("canary")),
            ..StorageOptions::default()
        };
        assert!(!format!("{options:?}").contains("canary"));
    }

    #[test]
    fn helpers_inherit_no_secret() {
        let all: Environment = [
            ("HOME", "/h"),
            ("PASSPHRASE", "x"),
            ("FTP_PASSWORD", "x"),
            ("AWS_ACCESS_KEY_ID", "x"),
            ("B2_APPLICATION_KEY", "x"),
            ("AZURE_CONNECTION_STRING", "x"),
            ("AZURE_STORAGE_KEY", "x"),
            ("GOOGLE_DRIVE_ACCOUNT_KEY", "x"),
            ("SSH_AUTH_SOCK", "s"),
        ]
        .into_iter()
        .collect();
        let names: Vec<_> = all
            .for_helpers()
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["HOME", "SSH_AUTH_SOCK"]);
    }

    #[test]
    fn unknown_settings_are_named() {
        let options = StorageOptions {
            settings: [("regoin".to_string(), "x".to_string())].into(),
            ..StorageOptions::default()
        };
        let error = options
            .allow_only("s3", &["region", "endpoint"])
            .expect_err("unknown");
        assert!(error.to_string().contains("`regoin`"));
        assert_eq!(error.hint(), Some("it knows region, endpoint"));
    }
}
