//! Directories the program `rsync` reaches: through ssh, or at an rsync daemon.
//!
//! Names never stand in a path of the far side, where patterns would be expanded: they go by `--files-from`, or as a
//! filter. rsync writes to a temp name of its own and renames. It fetches only into files, so a download takes room in the
//! temp dir. A daemon's password goes by the environment.

use super::super::names;
use super::super::options::first_password;
use super::super::settings;
use super::super::transfer::Transfer;
use super::super::url::{Server, TargetUrl};
use super::super::words::split_words;
use super::super::{Location, Object, Storage, StorageOptions};
use super::program::{Ended, Program, deliver};
use crate::engine::error::{Error, ErrorKind, Result};
use std::ffi::OsString;
use std::io::Write;
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// Exit code where all the trouble is that files went away between a look at their directory and one at them, as the temp
/// files of other uploads do. Source: rsync(1), exit values.
const VANISHED: i32 = 24;

/// Where a directory lies.
pub(super) struct Place<'a> {
    /// The machine.
    pub(super) server: &'a Server,
    /// Whether an rsync daemon is asked, instead of ssh.
    pub(super) daemon: bool,
    /// Module and path, or a path.
    pub(super) dir: &'a str,
}

/// Objects as files of one directory.
pub(super) struct RsyncStorage {
    program: Program,
    /// Options of every call.
    options: Vec<String>,
    /// The limit of downloads, where that is another than the one of every call.
    download_limit: Option<String>,
    /// The directory as rsync writes it, with a slash at its end.
    root: String,
    /// Whether the program that connects is told that the server is its proxy.
    is_its_own_proxy: bool,
    location: Location,
    transfer: Arc<Transfer>,
}

impl RsyncStorage {
    /// # Errors
    /// `Usage` for settings rsync does not have, or a password for ssh.
    pub(super) fn new(
        place: &Place<'_>,
        url: &TargetUrl,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Result<Self> {
        options.allow_only("rsync", settings::RSYNC)?;
        let Server { user, port, .. } = place.server;
        if user.as_ref().is_some_and(|user| user.contains([':', '/'])) {
            let message = "the user in the rsync:// URL has a colon or slash";
            return Err(Error::new(ErrorKind::Usage, message));
        }
        let seconds = options.timeout.as_secs().max(1);
        // Secluded arguments: no shell of the far side sees them.
        let mut arguments = vec![
            "-s".to_string(),
            "-8".into(),
            format!("--timeout={seconds}"),
        ];
        let mut program = Program::new("rsync", "RSYNC_", options, Arc::clone(&transfer))
            // COMPAT(dup all): the way to the host is the URL's, whatever the variable says.
            .without_variable("RSYNC_RSH");
        if place.daemon {
            arguments.push(format!("--contimeout={seconds}"));
            arguments.extend(port.map(|port| format!("--port={port}")));
            if let Some(secret) = first_password(url.password(), options) {
                let value = OsString::from_vec(secret.expose().to_vec());
                program = program.with_variable("RSYNC_PASSWORD", value);
            }
        } else if url.password().is_some() {
            return Err(
                Error::new(ErrorKind::Usage, "rsync through ssh takes no password")
                    .with_hint("use a key, or sftp://"),
            );
        } else {
            let mut ssh = vec!["ssh".to_string()];
            // The user's options come first: of two equal ones ssh takes the first.
            ssh.extend(split_words(options.setting("ssh-options").unwrap_or(""))?);
            ssh.push("-oBatchMode=yes".into());
            ssh.push(format!("-oConnectTimeout={seconds}"));
            // A line that is dead is noticed by ssh alone.
            ssh.push(format!("-oServerAliveInterval={seconds}"));
            ssh.push("-oServerAliveCountMax=1".into());
            ssh.extend(port.map(|port| format!("-p{port}")));
            let ssh: Vec<String> = ssh.iter().map(|word| quoted(word)).collect();
            arguments.push(format!("--rsh={}", ssh.join(" ")));
        }
        let limit = |rate: NonZeroU64| format!("--bwlimit={}", rate.get().div_ceil(1024));
        arguments.extend(options.upload_rate.map(limit));
        arguments.extend(split_words(options.setting("rsync-options").unwrap_or(""))?);
        let host = place.server.host_of_url();
        let user = user.as_ref().map(|user| format!("{user}@"));
        let colons = if place.daemon { "::" } else { ":" };
        let slash = if place.dir.ends_with('/') { "" } else { "/" };
        Ok(Self {
            program,
            options: arguments,
            // Of two limits the last counts; 0 is none.
            download_limit: match (options.download_rate, options.upload_rate) {
                (None, None) => None,
                (None, Some(_)) => Some("--bwlimit=0".to_string()),
                (Some(rate), _) => Some(limit(rate)),
            },
            root: format!(
                "{}{host}{colons}{}{slash}",
                user.unwrap_or_default(),
                place.dir
            ),
            is_its_own_proxy: place.daemon
                && options
                    .environment
                    .get("RSYNC_CONNECT_PROG")
                    .is_some_and(names_no_proxy),
            location: url.location(),
            transfer,
        })
    }

    /// Runs rsync for one name, or for none; `staging` is where files may grow meanwhile.
    fn run(
        &self,
        options: &[&str],
        name: Option<&str>,
        (from, to): (impl Into<OsString>, impl Into<OsString>),
        staging: Option<&Path>,
    ) -> Result<Ended> {
        let mut all: Vec<OsString> = self.options.iter().map(OsString::from).collect();
        all.extend(options.iter().map(OsString::from));
        let mut input = Vec::new();
        if let Some(name) = name {
            all.push("--files-from=-".into());
            all.push("--from0".into());
            // A `;` or `#` at the start would make it a comment.
            input.extend_from_slice(b"./");
            input.extend_from_slice(name.as_bytes());
            input.push(0);
        }
        all.push("--".into());
        all.push(from.into());
        let to = to.into();
        if !to.is_empty() {
            all.push(to);
        }
        let grown = || staging.map_or(0, bytes_in);
        self.program.run_watched(&all, input, None, Some(&grown))
    }

    fn explain(&self, ended: &Ended) -> Error {
        let error = explain(ended);
        match self.is_its_own_proxy && error.kind() == ErrorKind::Unreachable {
            true => error.with_hint(
                "RSYNC_CONNECT_PROG names no proxy, as %H is the server: for Tor, nc -X 5 -x 127.0.0.1:9050 %H 873",
            ),
            false => error,
        }
    }

    fn staging(&self) -> Result<TempDir> {
        TempDir::new().map_err(|e| {
            Error::new(ErrorKind::Io, "cannot make a temp dir for rsync").with_source(e)
        })
    }
}

/// Whether a program such as netcat is told that the server is its proxy, as a guide to rsync over Tor has it.
fn names_no_proxy(program: &str) -> bool {
    let words: Vec<&str> = program.split_whitespace().collect();
    words.windows(2).any(|pair| pair == ["-x", "%H"])
}

/// Bytes of all files of a directory, half-done ones too.
fn bytes_in(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let lengths = entries.filter_map(|entry| entry.metadata().ok().map(|meta| meta.len()));
    lengths.sum()
}

/// A local directory, in a form rsync takes for nothing else.
fn contents(dir: &Path) -> OsString {
    let mut text = dir.as_os_str().to_os_string();
    text.push("/");
    text
}

impl Storage for RsyncStorage {
    fn location(&self) -> &Location {
        &self.location
    }

    fn list(&self) -> Result<Vec<Object>> {
        let ended = self.run(
            &["--list-only", "--no-h"],
            None,
            (self.root.as_str(), ""),
            None,
        )?;
        match ended.code {
            Some(0 | VANISHED) => Ok(ended
                .output
                .split(|b| *b == b'\n')
                .filter_map(listed)
                .filter(|object| !names::is_temp(&object.name))
                .collect()),
            _ if is_absent(&ended) => Ok(Vec::new()),
            _ => Err(self.explain(&ended)),
        }
    }

    fn stat(&self, name: &str) -> Result<Option<Object>> {
        names::check(name)?;
        Ok(self.list()?.into_iter().find(|object| object.name == name))
    }

    fn get(&self, name: &str, to: &mut dyn Write) -> Result<u64> {
        names::check(name)?;
        let staging = self.staging()?;
        // rsync 3.5 does not find what `--files-from` names below a module's subdirectory.
        let only = format!("--include={}", pattern(name));
        let mut words = vec!["--dirs", "--whole-file", &only, "--exclude=*"];
        words.extend(self.download_limit.as_deref());
        let ended = self.run(
            &words,
            None,
            (self.root.as_str(), contents(staging.path())),
            Some(staging.path()),
        )?;
        let path = staging.path().join(name);
        match ended.code {
            Some(0) if path.is_file() => {}
            _ if matches!(ended.code, Some(0 | VANISHED)) || is_absent(&ended) => {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("{name} is not at the target"),
                ));
            }
            _ => return Err(self.explain(&ended)),
        }
        let mut download = self.transfer.download(to);
        deliver(&path, &mut download)?;
        Ok(download.bytes())
    }

    fn put(&self, name: &str, from: &Path) -> Result<()> {
        names::check(name)?;
        let staging = self.staging()?;
        let link = staging.path().join(name);
        let from = std::path::absolute(from).map_err(|e| Error::io("read", from, e))?;
        symlink(&from, &link).map_err(|e| Error::io("link", &link, e))?;
        let ended = self.run(
            &[
                "--copy-links",
                "--whole-file",
                "--ignore-times",
                "--mkpath",
                "--chmod=F600",
                "--perms",
            ],
            Some(name),
            (contents(staging.path()), self.root.as_str()),
            None,
        )?;
        match ended.code {
            Some(0) => Ok(()),
            _ => Err(self.explain(&ended)),
        }
    }

    fn delete(&self, name: &str) -> Result<()> {
        names::check(name)?;
        let empty = self.staging()?;
        let ended = self.run(
            &["--delete-missing-args"],
            Some(name),
            (contents(empty.path()), self.root.as_str()),
            None,
        )?;
        match ended.code {
            Some(0) => Ok(()),
            _ if is_absent(&ended) => Ok(()),
            _ => Err(self.explain(&ended)),
        }
    }
}

/// A word as `--rsh` reads it: blanks separate, quotes keep together, a quote within its like is doubled.
fn quoted(word: &str) -> String {
    if word.contains([' ', '\'', '"', '\t']) || word.is_empty() {
        format!("'{}'", word.replace('\'', "''"))
    } else {
        word.to_string()
    }
}

/// The filter for one name. A backslash escapes only where there is something to escape.
fn pattern(name: &str) -> String {
    let mut pattern = String::from("/");
    let wild = name.contains(['*', '?', '[']);
    for c in name.chars() {
        if wild && matches!(c, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// A regular file of a listing: `-rw------- 1234 2026/11/21 05:00:00 name`.
fn listed(line: &[u8]) -> Option<Object> {
    if line.first() != Some(&b'-') {
        return None;
    }
    let mut rest = line;
    let mut field = || {
        let start = rest.iter().position(|b| *b != b' ')?;
        let (_, from) = rest.split_at(start);
        let (field, after) = from.split_at(from.iter().position(|b| *b == b' ')?);
        rest = after;
        Some(field)
    };
    field()?;
    let size = field()?.iter().filter(|b| b.is_ascii_digit());
    let size = String::from_utf8(size.copied().collect()).ok()?.parse();
    field()?;
    field()?;
    let name = rest.strip_prefix(b" ")?;
    Some(Object {
        name: String::from_utf8(unescaped(name)).ok()?,
        size: size.ok()?,
    })
}

/// Undoes `\#ooo`, which rsync writes for control characters and for a backslash that could be taken for one.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        let octal = rest
            .strip_prefix(b"\\#")
            .and_then(|code| code.get(..3))
            .and_then(|code| std::str::from_utf8(code).ok())
            .and_then(|code| u8::from_str_radix(code, 8).ok());
        match (octal, rest.get(5..)) {
            (Some(byte), Some(after)) => {
                plain.push(byte);
                rest = after;
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

/// Whether all the trouble was that a file or the directory is not there.
fn is_absent(ended: &Ended) -> bool {
    // Source: rsync(1), "partial transfer due to error" and "errors selecting input/output files, dirs".
    matches!(ended.code, Some(23 | 3)) && ended.complaints.contains("No such file or directory")
}

/// What kind of trouble rsync had: by its words, and by its exit code.
fn explain(ended: &Ended) -> Error {
    let words = ended.complaints.to_lowercase();
    let has = |word: &str| words.contains(word);
    if has("failed to exec ssh") {
        let error = Error::new(ErrorKind::Unsupported, "the program ssh is not installed");
        return error
            .with_hint("install the OpenSSH client; on Debian: apt-get install openssh-client");
    }
    let kind = match ended.code {
        _ if has("no space left") || has("quota exceeded") => ErrorKind::Full,
        _ if has("auth failed")
            || has("permission denied")
            || has("read only")
            || has("read-only")
            || has("host key verification failed") =>
        {
            ErrorKind::Denied
        }
        _ if has("unknown module") => ErrorKind::NotFound,
        _ if has("could not resolve") || has("name or service not known") => ErrorKind::Unreachable,
        // Source: rsync(1), exit values: sockets, protocol data stream, timeouts; 255 is ssh's.
        Some(5 | 10 | 12 | 30 | 35 | 255) => ErrorKind::Unreachable,
        _ => ErrorKind::Io,
    };
    // The last line only repeats the exit code.
    let line = ended
        .complaints
        .lines()
        .find(|line| !line.trim().is_empty())
        .map(|line| line.chars().filter(|c| !c.is_control()).take(300).collect())
        .unwrap_or_else(|| ended.last_words());
    Error::new(kind, format!("rsync: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_read() {
        let read = |line: &str| listed(line.as_bytes()).map(|o| (o.name, o.size));
        let object = |name: &str, size| Some((name.to_string(), size));
        assert_eq!(
            read("-rw-r--r--         12,345 2026/11/21 05:00:00 a  b "),
            object("a  b ", 12345)
        );
        assert_eq!(
            read(r"-rw-r--r-- 1 2026/11/21 05:00:00 back\slash\#134#001\#012"),
            object("back\\slash\\#001\n", 1)
        );
        assert_eq!(read("drwxr-xr-x 4,096 2026/11/21 05:00:00 ."), None);
        assert_eq!(read("-rw-r--r--"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn the_server_is_not_its_own_proxy() {
        for (program, is_it) in [
            ("/bin/nc -x %H 873", true),
            ("nc -X 5 -x  %H 873", true),
            ("nc -x 127.0.0.1:9050 %H 873", false),
            ("ssh gate nc %H 873", false),
            ("", false),
        ] {
            assert_eq!(names_no_proxy(program), is_it, "{program}");
        }
    }

    #[test]
    fn a_filter_means_one_name() {
        assert_eq!(pattern("back\\slash"), "/back\\slash");
        assert_eq!(pattern("a*\\[x]"), "/a\\*\\\\\\[x]");
    }

    #[test]
    fn words_for_ssh_stay_words() {
        assert_eq!(quoted("-oX=y"), "-oX=y");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it''s'");
    }
}
