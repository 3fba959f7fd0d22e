//! What refusals of a mail server mean.

use crate::engine::error::{Error, ErrorKind};

/// A `NO`, `BAD` or `BYE`, with the server's words; a code in brackets may come first.
// Source: RFC 5530.
pub(super) fn said(status: &str, words: &str) -> Error {
    let words: String = words
        .chars()
        .filter(|c| !c.is_control())
        .take(300)
        .collect();
    let words = words.trim();
    let upper = words.to_ascii_uppercase();
    let code = upper
        .strip_prefix('[')
        .and_then(|rest| rest.split([']', ' ']).next())
        .unwrap_or_default();
    let has = |word: &str| upper.contains(word);
    let (kind, hint) = match code {
        "AUTHENTICATIONFAILED" | "AUTHORIZATIONFAILED" | "EXPIRED" | "CONTACTADMIN" => (
            ErrorKind::Denied,
            "check user and password (IMAP_PASSWORD); many services want a password of its own for each program",
        ),
        "PRIVACYREQUIRED" => (ErrorKind::Denied, "use imaps://"),
        "NOPERM" => (ErrorKind::Denied, "may this user write to the mailbox?"),
        "OVERQUOTA" => (ErrorKind::Full, ""),
        "TOOBIG" => TOO_LONG,
        "NONEXISTENT" | "TRYCREATE" => (ErrorKind::NotFound, ""),
        "LIMIT" => (ErrorKind::RateLimited, ""),
        _ if has("MAXIMUM NUMBER OF CONNECTIONS") || has("TOO MANY") => {
            (ErrorKind::RateLimited, "")
        }
        _ if has("QUOTA") => (ErrorKind::Full, ""),
        _ if has("TOO LARGE") || has("TOO BIG") || has("MAXIMUM SIZE") => TOO_LONG,
        "INUSE" | "UNAVAILABLE" | "SERVERBUG" => (ErrorKind::Unreachable, ""),
        _ if status == "BYE" => (ErrorKind::Unreachable, ""),
        _ => (ErrorKind::Io, ""),
    };
    let error = Error::new(kind, format!("the server says: {status} {words}"));
    match hint {
        "" => error,
        hint => error.with_hint(hint),
    }
}

const TOO_LONG: (ErrorKind, &str) = (
    ErrorKind::Unsupported,
    "make `volume-size` smaller: a mail is a third longer than its volume",
);

/// A line on which nothing more can be said.
pub(super) fn broken(host: &str, what: &str) -> Error {
    Error::new(ErrorKind::Unreachable, format!("imap at {host}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_and_its_words_decide_the_kind() {
        for (words, kind) in [
            (
                "[AUTHENTICATIONFAILED] Authentication failed.",
                ErrorKind::Denied,
            ),
            ("[OVERQUOTA] x", ErrorKind::Full),
            ("Quota exceeded (mailbox for user is full)", ErrorKind::Full),
            ("[TOOBIG] x", ErrorKind::Unsupported),
            (
                "[UNAVAILABLE] Maximum number of connections from user+IP exceeded",
                ErrorKind::RateLimited,
            ),
            ("[UNAVAILABLE] later", ErrorKind::Unreachable),
            ("[TRYCREATE] Mailbox doesn't exist: a", ErrorKind::NotFound),
            ("whatever", ErrorKind::Io),
        ] {
            assert_eq!(said("NO", words).kind(), kind, "{words}");
        }
        assert_eq!(said("BYE", "bye").kind(), ErrorKind::Unreachable);
    }
}
