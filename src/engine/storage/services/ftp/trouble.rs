//! What the answers of a server mean.

use super::super::tls::untrusted;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::transfer::Transfer;
use suppaftp::FtpError;

/// Waits for one answer of a host and translates its error.
pub(super) async fn answer<T>(
    transfer: &Transfer,
    host: &str,
    work: impl Future<Output = Result<T, FtpError>>,
) -> Result<T> {
    transfer.answer(work).await?.map_err(|e| explain(e, host))
}

/// What an error of the dialogue with a host means.
pub(super) fn explain(error: FtpError, host: &str) -> Error {
    match error {
        FtpError::UnexpectedResponse(response) => said(&String::from_utf8_lossy(&response.body)),
        FtpError::ConnectionError(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            let text = "ftp cannot send a name with a line break";
            Error::new(ErrorKind::Unsupported, text)
        }
        FtpError::ConnectionError(error) => {
            let text = format!("no connection to {host}");
            Error::new(ErrorKind::Unreachable, text).with_source(error)
        }
        FtpError::SecureError(words) => insecure(&words, host),
        FtpError::BadResponse | FtpError::InvalidAddress(_) => {
            // A line that broke in the middle of an answer is one reason.
            let text = format!("{host} does not speak ftp as expected");
            Error::new(ErrorKind::Unreachable, text)
        }
        FtpError::DataConnectionAlreadyOpen => {
            Error::new(ErrorKind::Internal, "two ftp transfers on one connection")
        }
    }
}

/// An answer that says no: a code and words, perhaps of several lines.
pub(super) fn said(answer: &str) -> Error {
    let line = answer.lines().map(str::trim).rfind(|l| !l.is_empty());
    let line = line.unwrap_or("nothing");
    let code: u16 = line.get(..3).and_then(|c| c.parse().ok()).unwrap_or(0);
    let words = line.to_ascii_lowercase();
    let has = |word: &str| words.contains(word);
    let denied = has("permission") || has("denied") || has("not allowed") || has("read-only");
    let crowded = has("too many") || has("maximum number") || has("connection limit");
    let kind = match code {
        // It is the answer to another question: the two no longer speak of the same thing.
        100..400 => ErrorKind::Unreachable,
        _ if has("no space") || has("quota") || has("disk full") => ErrorKind::Full,
        421 | 530 if crowded => ErrorKind::RateLimited,
        452 | 552 => ErrorKind::Full,
        430 | 530 | 532 => ErrorKind::Denied,
        500 | 501 | 502 | 504 | 534 | 536 => ErrorKind::Unsupported,
        _ if denied => ErrorKind::Denied,
        550 => ErrorKind::NotFound,
        553 => ErrorKind::Denied,
        400..500 => ErrorKind::Unreachable,
        _ => ErrorKind::Io,
    };
    let line: String = line.chars().filter(|c| !c.is_control()).take(300).collect();
    let error = Error::new(kind, format!("the server says: {line}"));
    match (code, kind) {
        (530, ErrorKind::Denied) => error.with_hint("check user and password (BACKEND_PASSWORD)"),
        // What some servers say of a full disk, and of trouble that passes.
        (451, _) => error.with_hint("look at the free space and the quota of the target"),
        _ => error,
    }
}

/// No TLS with a host.
fn insecure(words: &str, host: &str) -> Error {
    let error = untrusted(words, host);
    if words.contains("InvalidContentType") || words.contains("corrupt message") {
        error.with_hint("a server that starts TLS on demand has a URL of the form ftpes://")
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_and_its_words_decide_the_kind() {
        for (answer, kind) in [
            ("550 a: No such file or directory", ErrorKind::NotFound),
            ("550 a: Permission denied", ErrorKind::Denied),
            ("530 Login incorrect.", ErrorKind::Denied),
            (
                "530 Sorry, the maximum number of clients (2) are connected",
                ErrorKind::RateLimited,
            ),
            ("421 Too many connections", ErrorKind::RateLimited),
            ("421 Timeout", ErrorKind::Unreachable),
            (
                "425 Unable to build data connection",
                ErrorKind::Unreachable,
            ),
            ("452 Insufficient storage", ErrorKind::Full),
            (
                "552-Transfer aborted\r\n552 Quota exceeded\r\n",
                ErrorKind::Full,
            ),
            ("502 Command not implemented", ErrorKind::Unsupported),
            (
                "229 Entering Extended Passive Mode (|||45313|)",
                ErrorKind::Unreachable,
            ),
            ("", ErrorKind::Io),
        ] {
            assert_eq!(said(answer).kind(), kind, "{answer}");
        }
    }

    #[test]
    fn a_foreign_certificate_is_denied_with_a_way_out() {
        let error = insecure("invalid peer certificate: UnknownIssuer", "h");
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.hint().is_some_and(|h| h.contains("ca-file")));
    }
}
