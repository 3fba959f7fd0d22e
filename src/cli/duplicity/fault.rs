//! Why an action failed, with duplicity's number for it: its exit code and the code in the machine log.

use super::log::quoted;
use crate::engine::error::{Error, ErrorKind};
use crate::engine::select;

/// Exit code of a wrong command line.
pub const USAGE: i32 = 23;

/// Exit code if a volume is not what its manifest says.
pub const DAMAGED: i32 = 21;

/// Exit code if a file lacks the signature that was asked for.
pub const UNSIGNED: i32 = 22;

/// Exit code of everything gpg refuses.
pub const BY_GPG: i32 = 31;

/// Whether a text of the engine tells of a missing or wrong signature.
pub fn lacks_signature(text: &str) -> bool {
    text.contains("no good signature of") || text.contains("not signed, though a signature")
}

/// Whether a text of the engine tells of a gpg or gpgsm that is not there.
fn lacks_program(text: &str) -> bool {
    text.contains("cannot run") && text.contains("gpg")
}

/// Whether a text of the engine tells of options that gpg does not take.
fn refused_by_gpg(text: &str) -> bool {
    text.contains("gpg cannot decrypt") || text.contains("gpg cannot encrypt")
}

/// Whether a text of the engine tells of a file that is not what its manifest says.
pub fn is_damaged(text: &str) -> bool {
    text.contains("its hash is ") && text.contains("the manifest says")
}

/// Why an action failed.
#[derive(Debug)]
pub struct Fault {
    /// duplicity's number.
    pub code: i32,
    /// One line.
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What stands behind the number in the machine log.
    pub extra: String,
}

/// Result of the door.
pub type Result<T, E = Fault> = std::result::Result<T, E>;

impl Fault {
    /// A failure with duplicity's number for it.
    pub fn new(code: i32, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            hint: None,
            extra: String::new(),
        }
    }

    /// A wrong command line.
    // COMPAT(dup 2): front ends read the name behind the number.
    pub fn usage(text: impl Into<String>) -> Self {
        Self {
            extra: "CommandLineError".into(),
            ..Self::new(USAGE, text)
        }
    }

    /// Adds what to do about it.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self {
            code: number(&error),
            text: error.to_string(),
            // Hints name the words of dupr's own command line; these name duplicity's.
            hint: error.hint().map(|hint| {
                hint.replace("`list`", "list-current-files")
                    .replace("--allow-new-key", "another --name and target")
            }),
            extra: extra(&error),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<select::Error> for Fault {
    fn from(error: select::Error) -> Self {
        use select::Error as E;
        let code = match &error {
            E::FilePrefix { .. } | E::NotForArchives(_) => 14,
            E::Globbing(_) => 15,
            E::RedundantInclude(_) => 16,
            E::RedundantFilter => 70,
            E::TrailingFilter => 71,
            E::FilesFromPath { .. } => 72,
            E::EmptyFilesFrom => 73,
            _ => USAGE,
        };
        Self {
            code,
            ..Error::from(error).into()
        }
    }
}

/// duplicity's number for an error of the engine.
fn number(error: &Error) -> i32 {
    match error.kind() {
        ErrorKind::Unsupported if lacks_program(&error.to_string()) => BY_GPG,
        ErrorKind::Usage if refused_by_gpg(&error.to_string()) => BY_GPG,
        ErrorKind::Usage | ErrorKind::Locked | ErrorKind::Source | ErrorKind::Unsupported => USAGE,
        ErrorKind::Mismatch if error.to_string().contains("of host") => 3,
        ErrorKind::Mismatch => 42,
        ErrorKind::NoBackup => 30,
        ErrorKind::NotFound if error.to_string().contains("is not in the backup") => 19,
        ErrorKind::NotFound => 50,
        ErrorKind::WrongKey | ErrorKind::Corrupt if lacks_signature(&error.to_string()) => UNSIGNED,
        ErrorKind::WrongKey => BY_GPG,
        ErrorKind::Corrupt if failed_upload(&error.to_string()) => 56,
        ErrorKind::Corrupt => 21,
        ErrorKind::Denied if no_certificate(&error.to_string()) => 50,
        ErrorKind::Denied => 51,
        ErrorKind::Full => 53,
        ErrorKind::Unreachable | ErrorKind::RateLimited => 50,
        ErrorKind::Io if at_the_target(&error.to_string()) => 50,
        ErrorKind::Interrupted => 4,
        _ => 30,
    }
}

/// What front ends read behind the number: the names of duplicity's exceptions, and this and the other host or source.
// COMPAT(dup 3): Déjà Dup tells its user by these.
fn extra(error: &Error) -> String {
    match number(error) {
        3 | 42 => this_and_other(&error.to_string()).unwrap_or_default(),
        30 if error.kind() == ErrorKind::NoBackup => "CollectionsError".into(),
        BY_GPG => "GPGError".into(),
        50..=55 => "BackendException".into(),
        _ => String::new(),
    }
}

/// The two names in `… are of host "other", this is "this"`, as the machine log quotes them.
fn this_and_other(text: &str) -> Option<String> {
    let (before, this) = text.rsplit_once(", this is ")?;
    let of = |what: &str| before.rsplit_once(what).map(|(_, other)| other);
    let other = of(" of host ").or_else(|| of(" of source "))?;
    let quote = |name: &str| quoted(name.trim_matches('"').as_bytes());
    Some(format!("{} {}", quote(this), quote(other)))
}

/// Whether a text of the engine tells of trouble with the target rather than with what lies here.
fn at_the_target(text: &str) -> bool {
    text.contains("cannot upload ") || text.contains("cannot list ")
}

/// Whether it is the server that was refused.
fn no_certificate(text: &str) -> bool {
    text.contains("no TLS with ")
}

/// Whether a text of the engine tells of a file that is not at the target as it was sent.
fn failed_upload(text: &str) -> bool {
    text.contains("is not at the target after its upload")
        || text.contains("at the target instead of")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_duplicity() {
        let of = |kind, text: &str| Fault::from(Error::new(kind, text)).code;
        assert_eq!(of(ErrorKind::Mismatch, "the backups are of host \"a\""), 3);
        assert_eq!(
            of(ErrorKind::Mismatch, "the backups are of source \"a\""),
            42
        );
        assert_eq!(of(ErrorKind::WrongKey, "no good signature of ada"), 22);
        assert_eq!(of(ErrorKind::WrongKey, "the passphrase is wrong"), 31);
        assert_eq!(of(ErrorKind::Locked, "busy"), 23);
        assert_eq!(
            of(ErrorKind::NotFound, "a is not in the backup at that time"),
            19
        );
        assert_eq!(of(ErrorKind::NotFound, "no such bucket"), 50);
        assert_eq!(
            of(
                ErrorKind::Corrupt,
                "a has 1 bytes at the target instead of 2"
            ),
            56
        );
        let mismatch = Error::new(
            ErrorKind::Mismatch,
            "the backups at file:///t are of source \"src\", this is \"src/dir\"",
        );
        assert_eq!(Fault::from(mismatch).extra, "'src/dir' 'src'");
        assert_eq!(Fault::from(select::Error::Globbing("a//b".into())).code, 15);
        assert_eq!(Fault::from(select::Error::EmptyFilesFrom).code, 73);
        assert_eq!(Fault::from(select::Error::EmptyPattern).code, 23);
    }
}
