//! The engine's one error: what kind of trouble, with what, and what to do about it.
//!
//! `Err` means an operation could not be done. Trouble with a single entry is not an error but a
//! [`Problem`](super::monitor::Problem): it is counted and the operation goes on.

use std::fmt;
use std::io;

/// What kind of trouble it is; decides the exit code and whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// An object, path or time that was asked for does not exist.
    NotFound,
    /// Permission or credentials refused.
    Denied,
    /// No space or quota left.
    Full,
    /// The service asks to slow down.
    RateLimited,
    /// Network trouble, or a target that does not answer.
    Unreachable,
    /// Stored data is damaged: wrong hash, wrong size, unreadable structure.
    Corrupt,
    /// A passphrase or key does not open the data.
    WrongKey,
    /// Something the format, the service or this build cannot do.
    Unsupported,
    /// Another run holds the lock.
    Locked,
    /// The target holds no usable backup.
    NoBackup,
    /// The source is missing, unreadable or suspiciously empty.
    Source,
    /// The clock is behind the newest set.
    Clock,
    /// Backups at the target come from another host or source.
    Mismatch,
    /// An argument or setting that cannot be used.
    Usage,
    /// Stopped by a signal; what was committed can be resumed.
    Interrupted,
    /// Local input or output failed.
    Io,
    /// A broken promise of dupr itself.
    Internal,
}

impl ErrorKind {
    /// Whether the same call may succeed when repeated a little later.
    pub fn is_retryable(self) -> bool {
        matches!(self, ErrorKind::RateLimited | ErrorKind::Unreachable)
    }
}

/// Why an operation could not be done.
///
/// Prints as one line: the facts, then the cause. [`Error::hint`] says what to do next, where that is known.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Result of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind; the message is lower case, without full stop, and fits after "cannot …: ".
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            source: None,
        }
    }

    /// Adds what caused it.
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what the user can do about it: a sentence without full stop.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts the outer circumstances before this error's text, keeping kind and hint.
    pub fn within(self, context: impl Into<String>) -> Self {
        Self {
            kind: self.kind,
            message: context.into(),
            hint: self.hint.clone(),
            source: Some(Box::new(self)),
        }
    }

    /// An input or output error at a local path.
    pub fn io(action: &str, path: &std::path::Path, error: io::Error) -> Self {
        Self::from(error).within(format!("cannot {action} {}", path.display()))
    }

    /// What kind of trouble it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut told = vec![self.message.as_str()];
        let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(self);
        while let Some(e) = cause {
            cause = e.source();
            match e.downcast_ref::<Error>() {
                Some(inner) => {
                    let said = told.iter().any(|outer| says(outer, &inner.message));
                    if !said || cause.is_none() {
                        write!(f, ": {}", inner.message)?;
                        told.push(&inner.message);
                    }
                }
                None => write!(f, ": {e}")?,
            }
        }
        Ok(())
    }
}

/// Whether what could not be done was told already: `cannot list file:///backups` says that `/backups` cannot be listed, and
/// so that the target cannot.
fn says(outer: &str, inner: &str) -> bool {
    let parts = |text| str::strip_prefix(text, "cannot ")?.split_once(' ');
    let (Some((outer_verb, whole)), Some((verb, object))) = (parts(outer), parts(inner)) else {
        return false;
    };
    let is_its_end = whole.strip_suffix(object).is_some_and(|before| {
        before.is_empty() || before.ends_with([' ', '/']) || object.starts_with('/')
    });
    outer_verb == verb && (object == "the target" || is_its_end)
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_ref()
            .map(|e| &**e as &(dyn std::error::Error + 'static))
    }
}

/// Keeps the kind of an [`Error`] that travelled through a `Read` or `Write`.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if error.get_ref().is_some_and(|e| e.is::<Error>()) {
            if let Some(Ok(inner)) = error.into_inner().map(|e| e.downcast::<Error>()) {
                return *inner;
            }
            return Error::new(ErrorKind::Internal, "an error lost its cause");
        }
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => ErrorKind::Corrupt,
            io::ErrorKind::TimedOut
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused => ErrorKind::Unreachable,
            _ => ErrorKind::Io,
        };
        Error {
            kind,
            message: error.to_string(),
            hint: None,
            source: None,
        }
    }
}

/// Lets an [`Error`] travel through a `Read` or `Write`.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_with_all_causes() {
        let e = Error::new(ErrorKind::Corrupt, "hash mismatch")
            .within("cannot read volume 3")
            .within("restore failed");
        assert_eq!(
            e.to_string(),
            "restore failed: cannot read volume 3: hash mismatch"
        );
        assert_eq!(e.kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn nothing_is_told_twice() {
        let refused = || Error::new(ErrorKind::Unreachable, "refused");
        for (inner, outer, told) in [
            (
                "list /a/b",
                "list file:///a/b",
                "cannot list file:///a/b: refused",
            ),
            (
                "list the target",
                "list sftp://h/a",
                "cannot list sftp://h/a: refused",
            ),
            ("read vol1", "read vol1", "cannot read vol1: refused"),
            // What says more stays.
            (
                "read a",
                "read data",
                "cannot read data: cannot read a: refused",
            ),
            (
                "read /spool/1",
                "read vol1",
                "cannot read vol1: cannot read /spool/1: refused",
            ),
            ("open x", "list x", "cannot list x: cannot open x: refused"),
        ] {
            let e = refused().within(format!("cannot {inner}"));
            assert_eq!(e.within(format!("cannot {outer}")).to_string(), told);
        }
        let between = refused()
            .within("cannot list the target")
            .within("given up after 3 attempts")
            .within("cannot list ftp://h/x");
        assert_eq!(
            between.to_string(),
            "cannot list ftp://h/x: given up after 3 attempts: refused"
        );
        // A message without a cause is all there is to know.
        let only = Error::new(ErrorKind::Io, "cannot list x").within("cannot list x");
        assert_eq!(only.to_string(), "cannot list x: cannot list x");
    }

    #[test]
    fn kind_survives_a_reader() {
        let through: io::Error = Error::new(ErrorKind::WrongKey, "bad passphrase").into();
        assert_eq!(Error::from(through).kind(), ErrorKind::WrongKey);
    }
}
