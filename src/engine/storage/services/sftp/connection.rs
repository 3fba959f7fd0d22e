//! One running `ssh` and the sftp dialogue with it, and what its troubles mean.

use super::login::Login;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::storage::transfer::Transfer;
use openssh_sftp_client::error::SftpErrorKind;
use openssh_sftp_client::{Error as SftpError, Sftp, SftpOptions};
use std::collections::VecDeque;
use std::fmt::Display;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;

/// Lines of ssh's error output that are kept.
const TAIL_LINES: usize = 4;

/// Time for ssh to say why, once its dialogue has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What comes of asking a server for sftp.
pub(super) enum Greeting {
    Sftp(Connection),
    /// It has let us in, and knows no sftp.
    NoSftp,
    /// ssh ended without a word, as it does for either reason when it goes through another's connection (`ControlMaster`).
    Silence(Error),
}

/// A dialogue with a server. Ends, and `ssh` with it, when dropped.
pub(super) struct Connection {
    sftp: Sftp,
    tail: Tail,
    host: String,
    /// Killed when dropped.
    _ssh: Child,
}

impl Connection {
    /// Starts `ssh` and waits until the server greets.
    ///
    /// # Errors
    /// `Unreachable`, `Denied` with a hint, or `Unsupported` if there is no `ssh` here.
    pub(super) async fn open(login: &Login, transfer: &Transfer) -> Result<Greeting> {
        let mut command = login.command();
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut ssh = command.spawn().map_err(|e| {
            Error::new(
                ErrorKind::Unsupported,
                format!("cannot start {}", login.program()),
            )
            .with_source(e)
            .with_hint("install the OpenSSH client; on Debian: apt-get install openssh-client")
        })?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (ssh.stdin.take(), ssh.stdout.take(), ssh.stderr.take())
        else {
            return Err(Error::new(
                ErrorKind::Internal,
                "ssh was started without its streams",
            ));
        };
        let tail = Tail::follow(stderr);
        // Longer than ssh's own patience: its words about the silence are better than ours.
        let limit = transfer.timeout() + (transfer.timeout() / 4).max(Duration::from_secs(1));
        let greeting = transfer
            .answer_within(limit, Sftp::new(stdin, stdout, SftpOptions::new()))
            .await;
        match greeting {
            Ok(Ok(sftp)) => Ok(Greeting::Sftp(Self {
                sftp,
                tail,
                host: login.host().to_string(),
                _ssh: ssh,
            })),
            Ok(Err(SftpError::UnsupportedSftpProtocol { .. })) => Err(Error::new(
                ErrorKind::Unsupported,
                format!("{} speaks no sftp of version 3", login.host()),
            )),
            Ok(Err(error)) => {
                // Its error output ends when it does.
                let _ = tokio::time::timeout(LAST_WORDS, ssh.wait()).await;
                tail.settle().await;
                let words = tail.text();
                if has_no_sftp(&words) {
                    return Ok(Greeting::NoSftp);
                }
                let refused = refused(login.host(), &words, &error);
                match words.is_empty() {
                    true => Ok(Greeting::Silence(refused)),
                    false => Err(refused),
                }
            }
            Err(silence) => Err(silence.within(format!("cannot connect to {}", login.host()))),
        }
    }

    pub(super) fn sftp(&self) -> &Sftp {
        &self.sftp
    }

    /// What an error of the dialogue means.
    pub(super) fn explain(&self, error: SftpError) -> Error {
        match error {
            SftpError::SftpError(kind, message) => said(kind, message.get().0),
            other => {
                let words = self.tail.text();
                let words = if words.is_empty() {
                    other.to_string()
                } else {
                    words
                };
                Error::new(
                    ErrorKind::Unreachable,
                    format!("lost the connection to {}: {words}", self.host),
                )
            }
        }
    }
}

/// An answer of the server that says no.
fn said(kind: SftpErrorKind, message: &str) -> Error {
    let (kind, words) = match kind {
        SftpErrorKind::NoSuchFile => (ErrorKind::NotFound, "no such file"),
        SftpErrorKind::PermDenied => (ErrorKind::Denied, "permission denied"),
        SftpErrorKind::OpUnsupported => (ErrorKind::Unsupported, "not supported"),
        SftpErrorKind::BadMessage => (ErrorKind::Io, "bad message"),
        _ => (ErrorKind::Io, "failure"),
    };
    let same = message.is_empty() || message.eq_ignore_ascii_case(words);
    let message = if same {
        words.to_string()
    } else {
        format!("{words} ({message})")
    };
    Error::new(kind, format!("the server says: {message}"))
}

/// Whether the server has let us in and knows no sftp: not told to have it, or its program is not installed.
fn has_no_sftp(words: &str) -> bool {
    words.contains("subsystem request failed")
        || (words.contains("sftp-server")
            && (words.contains("not found") || words.contains("No such file")))
}

/// Why ssh ended, told by its last words.
pub(super) fn refused(host: &str, words: &str, error: &dyn Display) -> Error {
    let has = |text: &str| words.contains(text);
    let (kind, hint) = if has("REMOTE HOST IDENTIFICATION HAS CHANGED") || has("Host key for") {
        (
            ErrorKind::Denied,
            Some(format!(
                "the host key has changed: find out why before you run ssh-keygen -R {host}"
            )),
        )
    } else if has("Host key verification failed") || has("host key is known") {
        (
            ErrorKind::Denied,
            Some(format!(
                "connect once by hand with ssh {host} and check the host key"
            )),
        )
    } else if has("Permission denied") || has("Too many authentication failures") {
        (
            ErrorKind::Denied,
            Some("check the user, the key and the agent, or give a password".to_string()),
        )
    } else if has("Bad configuration option") || has("usage: ssh") || has("command-line") {
        (
            ErrorKind::Usage,
            Some("correct the option `ssh-options`".to_string()),
        )
    } else {
        (ErrorKind::Unreachable, None)
    };
    let words = if words.is_empty() {
        error.to_string()
    } else {
        words.to_string()
    };
    let error = Error::new(kind, format!("cannot connect to {host}: {words}"));
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// The last lines of ssh's error output.
#[derive(Clone, Default)]
pub(super) struct Tail {
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl Tail {
    /// Reads until the stream ends.
    pub(super) fn follow(stream: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let tail = Self::default();
        let lines = Arc::clone(&tail.lines);
        tokio::spawn(async move {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line).await, Ok(1..)) {
                let text = String::from_utf8_lossy(&line)
                    .trim()
                    .chars()
                    .filter(|c| !c.is_control())
                    .collect::<String>();
                line.clear();
                // A frame of @ around a warning.
                if text.chars().any(|c| c != '@') {
                    let mut lines = lines
                        .lock()
                        .unwrap_or_else(|poisoned| poisoned.into_inner());
                    // The headline of a warning is worth more than the advice below it.
                    let keep = lines
                        .front()
                        .is_some_and(|first| first.contains("IDENTIFICATION HAS CHANGED"));
                    if lines.len() == TAIL_LINES {
                        lines.remove(usize::from(keep));
                    }
                    lines.push_back(text);
                }
            }
        });
        tail
    }

    /// Lets the reader take what the ended program has left in the pipe.
    pub(super) async fn settle(&self) {
        for _ in 0..20 {
            // The reader holds the other reference until the stream ends.
            if Arc::strong_count(&self.lines) == 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) fn text(&self) -> String {
        let lines = self
            .lines
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        lines
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_become_kinds() {
        let lost = SftpError::BackgroundTaskFailure(&"ended");
        for (words, kind) in [
            (
                "ada@h: Permission denied (publickey,password).",
                ErrorKind::Denied,
            ),
            ("Host key verification failed.", ErrorKind::Denied),
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @; Host key verification failed.",
                ErrorKind::Denied,
            ),
            (
                "ssh: Could not resolve hostname h: Name or service not known",
                ErrorKind::Unreachable,
            ),
            (
                "ssh: connect to host h port 22: Connection refused",
                ErrorKind::Unreachable,
            ),
            (
                "command-line: line 0: Bad configuration option: nonsense",
                ErrorKind::Usage,
            ),
            ("", ErrorKind::Unreachable),
        ] {
            let error = refused("h", words, &lost);
            assert_eq!(error.kind(), kind, "{words}");
            assert!(error.to_string().contains(words));
        }
        assert!(
            refused("h", "Permission denied (publickey).", &lost)
                .hint()
                .is_some()
        );
        for words in [
            "subsystem request failed on channel 0",
            "sh: /usr/libexec/sftp-server: not found",
        ] {
            assert!(has_no_sftp(words), "{words}");
        }
        assert!(!has_no_sftp("sh: nologin: not found"));
    }

    #[test]
    fn answers_keep_the_servers_words() {
        assert_eq!(
            said(SftpErrorKind::NoSuchFile, "No such file").to_string(),
            "the server says: no such file"
        );
        let error = said(SftpErrorKind::Failure, "quota exceeded");
        assert_eq!(
            error.to_string(),
            "the server says: failure (quota exceeded)"
        );
        assert_eq!(error.kind(), ErrorKind::Io);
    }
}
