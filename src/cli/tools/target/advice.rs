//! What to do about a promise a target broke, where the error itself does not say.

use crate::engine::error::{Error, ErrorKind};

/// What the error says to do, or what helps with its kind; nothing if somebody stopped the test.
pub(super) fn advice(promise: &str, error: &Error) -> Option<String> {
    if let Some(hint) = error.hint() {
        return Some(hint.to_owned());
    }
    by_kind(promise, error.kind()).map(str::to_owned)
}

/// An error of a target that does not answer, with what to do about it.
pub(super) fn advised(error: Error) -> Error {
    let silent = matches!(
        error.kind(),
        ErrorKind::Unreachable | ErrorKind::RateLimited
    );
    match by_kind("can be listed", error.kind()).filter(|_| silent && error.hint().is_none()) {
        Some(advice) => error.with_hint(advice),
        None => error,
    }
}

fn by_kind(promise: &str, kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Interrupted => return None,
        ErrorKind::Unreachable => {
            "is the server on (or the disk mounted), and are host and port of the URL right? Look whether a firewall or a VPN \
             stands between, with the program you else reach it with; then type this again"
        }
        ErrorKind::RateLimited => {
            "the service wants to be left alone: type this again in some minutes, and set a smaller `connections` under [target]"
        }
        ErrorKind::Denied => denied(promise),
        ErrorKind::NotFound => {
            "make the folder, bucket or container there, or correct the path of the URL"
        }
        ErrorKind::Full => "make room there, or have the quota raised; then type this again",
        ErrorKind::Io => {
            "if the message names a file of this machine, look at its rights and at the free space; else at the target's own log"
        }
        ErrorKind::Corrupt | ErrorKind::Locked => broken(promise),
        ErrorKind::Usage => {
            "correct the URL, the options under [target] or the variables of the service; docs/targets.md lists them"
        }
        ErrorKind::Unsupported => {
            "docs/targets.md says what this service can do; choose another if backups need it"
        }
        _ => "type `dupr target ls` with the same place, and look at it with another program",
    })
}

/// A login that may not do something.
fn denied(promise: &str) -> &'static str {
    match promise {
        "can be listed" => {
            "check user, password or key, and whether this login may list the folder or bucket"
        }
        // Sets are never replaced, and removed by purges alone.
        "replaces" | "removes" => {
            "if this place is to give nothing back (docs/append-only.md), that is as it should be; else permit this login to \
             replace and remove, and remove what begins with dupr-test- there"
        }
        _ => "permit this login to write to the folder or bucket, or name another login",
    }
}

/// A target that does something else than it says.
fn broken(promise: &str) -> &'static str {
    match promise {
        "guards a name that is taken" => {
            "let one machine alone, and one run at a time, write to this place"
        }
        "does several things at once" => {
            "set connections = 1 under [target], and test it again by the profile: `dupr target test PROFILE`"
        }
        "keeps odd names" => {
            "sets have plain names: backups are safe as long as `file-prefix` under [backup] has letters, digits, - and _ alone"
        }
        "removes" => {
            "look with `dupr target ls` whether anything that begins with dupr-test- is left, and remove it with `dupr target rm`"
        }
        _ => {
            "do not trust backups to this place: it loses or changes what it is given. Test it again, and if it stays so, ask who \
             runs it, or choose another"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::storage::trial::promises;

    #[test]
    fn every_failure_says_what_to_do() {
        let kinds = [
            ErrorKind::NotFound,
            ErrorKind::Denied,
            ErrorKind::Full,
            ErrorKind::RateLimited,
            ErrorKind::Unreachable,
            ErrorKind::Corrupt,
            ErrorKind::Unsupported,
            ErrorKind::Locked,
            ErrorKind::Usage,
            ErrorKind::Io,
            ErrorKind::Internal,
        ];
        for promise in promises() {
            for kind in kinds {
                let error = Error::new(kind, "x");
                assert!(advice(promise, &error).is_some(), "{promise}: {kind:?}");
            }
        }
        // Names of promises that no target makes would never be met.
        for own in [
            "can be listed",
            "replaces",
            "removes",
            "guards a name that is taken",
            "does several things at once",
            "keeps odd names",
        ] {
            assert!(promises().any(|promise| promise == own), "{own}");
        }
        let known = Error::new(ErrorKind::Denied, "x").with_hint("set X");
        assert_eq!(advice("replaces", &known).as_deref(), Some("set X"));
        let stopped = Error::new(ErrorKind::Interrupted, "x");
        assert_eq!(advice("replaces", &stopped), None);
    }
}
