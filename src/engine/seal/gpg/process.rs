//! One running gpg: its pipes, its status lines, its last words.

use super::Gpg;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use command_fds::{CommandFdExt, FdMapping};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use zeroize::Zeroizing;

/// Descriptors of the child.
const STATUS_FD: i32 = 3;
const PASSPHRASE_FD: i32 = 4;

/// Status lines kept; gpg writes a few dozen per message.
const MAX_STATUS_LINES: usize = 1000;

/// Lines of its messages kept for an error.
const LAST_WORDS: usize = 4;

/// Time a gpg that has failed gets for its last words: one second.
const GRACE_STEPS: u32 = 200;
const GRACE_STEP: Duration = Duration::from_millis(5);

/// A gpg at work. Dropping it ends the program.
pub(super) struct Process {
    child: Child,
    pub stdin: Option<ChildStdin>,
    pub stdout: Option<ChildStdout>,
    status: Arc<Status>,
    status_reader: Option<JoinHandle<()>>,
    words: Option<JoinHandle<VecDeque<String>>>,
}

/// Status lines as they come, without their prefix.
#[derive(Default)]
struct Status {
    log: Mutex<Log>,
    news: Condvar,
}

#[derive(Default)]
struct Log {
    lines: Vec<String>,
    ended: bool,
}

/// How a gpg ended.
pub(super) struct Finished {
    /// Exit status 0.
    pub success: bool,
    /// Status lines: a keyword and its arguments.
    pub status: Vec<String>,
    last_words: VecDeque<String>,
}

impl Process {
    /// Starts gpg with these arguments besides the usual ones; with a passphrase it never asks for one.
    pub(super) fn start(
        gpg: &Gpg,
        arguments: impl IntoIterator<Item = OsString>,
        passphrase: Option<&Secret>,
    ) -> Result<Self> {
        let (status_read, status_write) = io::pipe().map_err(pipe_error)?;
        let mut descriptors = vec![FdMapping {
            parent_fd: status_write.into(),
            child_fd: STATUS_FD,
        }];
        let mut command = Command::new(&gpg.program);
        command.env("LC_ALL", "C").env_remove("LANGUAGE");
        command
            .args(["--batch", "--no-tty", "--no-secmem-warning", "--status-fd"])
            .arg(STATUS_FD.to_string());
        if let Some(home) = &gpg.home {
            command.arg("--homedir").arg(home);
        }
        if let Some(passphrase) = passphrase {
            let (read, mut write) = io::pipe().map_err(pipe_error)?;
            // Fits into the pipe: nobody reads yet.
            let bytes = passphrase.expose();
            if bytes.len() > 4000 || bytes.contains(&b'\n') {
                return Err(Error::new(
                    ErrorKind::Usage,
                    "gpg takes no passphrase of several lines or over 4000 bytes",
                ));
            }
            write.write_all(bytes).map_err(pipe_error)?;
            descriptors.push(FdMapping {
                parent_fd: read.into(),
                child_fd: PASSPHRASE_FD,
            });
            command
                .arg("--passphrase-fd")
                .arg(PASSPHRASE_FD.to_string())
                .arg("--pinentry-mode=loopback");
        }
        command
            .args(&gpg.options)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.fd_mappings(descriptors).map_err(|e| {
            Error::new(
                ErrorKind::Internal,
                "two descriptors of gpg have the same number",
            )
            .with_source(e)
        })?;
        let mut child = command.spawn().map_err(|e| {
            let missing = e.kind() == io::ErrorKind::NotFound;
            let error = Error::io("run", &gpg.program, e);
            if missing {
                // Not `NotFound`: that is said of files at the target.
                let error = Error::new(ErrorKind::Unsupported, error.to_string());
                error.with_hint(format!(
                    "install {} of GnuPG, or say where it is",
                    gpg.name()
                ))
            } else {
                error
            }
        })?;
        // The command still holds the child's ends of the pipes; with them open the status would never end.
        drop(command);
        let status = Arc::new(Status::default());
        let words = child
            .stderr
            .take()
            .map(|stderr| std::thread::spawn(move || last_words(stderr)));
        let status_reader = std::thread::spawn({
            let status = Arc::clone(&status);
            move || status.fill(status_read)
        });
        Ok(Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            child,
            status,
            status_reader: Some(status_reader),
            words,
        })
    }

    /// Waits until a status line starts with one of these keywords and returns that; `None` if gpg ended before.
    pub(super) fn wait_for(&self, keywords: &[&str]) -> Option<String> {
        let mut log = self
            .status
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            let keyword = |line: &String| keyword_of(line).to_string();
            let hit = log
                .lines
                .iter()
                .map(keyword)
                .find(|word| keywords.contains(&word.as_str()));
            if hit.is_some() || log.ended {
                return hit;
            }
            log = self
                .status
                .news
                .wait(log)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The arguments of the first status line so far with this keyword.
    pub(super) fn line(&self, keyword: &str) -> Option<Zeroizing<String>> {
        let log = self
            .status
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let line = log.lines.iter().find(|line| keyword_of(line) == keyword)?;
        Some(Zeroizing::new(line[keyword.len()..].trim().to_string()))
    }

    /// Waits a little for the end of a gpg that has failed, then ends it.
    pub(super) fn finish_soon(mut self) -> Result<Finished> {
        for _ in 0..GRACE_STEPS {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(GRACE_STEP);
        }
        // Fails only if it has ended.
        let _ = self.child.kill();
        self.finish()
    }

    /// Waits for the end. Input must be closed and output drained before.
    pub(super) fn finish(mut self) -> Result<Finished> {
        let exit = self
            .child
            .wait()
            .map_err(|e| Error::from(e).within("cannot wait for gpg"))?;
        if let Some(reader) = self.status_reader.take() {
            let _ = reader.join();
        }
        let last_words = self
            .words
            .take()
            .and_then(|words| words.join().ok())
            .unwrap_or_default();
        let mut log = self
            .status
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(Finished {
            success: exit.success(),
            status: std::mem::take(&mut log.lines),
            last_words,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Status {
    fn fill(&self, pipe: impl Read) {
        for line in BufReader::new(pipe).split(b'\n').map_while(io::Result::ok) {
            let line = String::from_utf8_lossy(&line);
            let Some(line) = line.strip_prefix("[GNUPG:] ") else {
                continue;
            };
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            if log.lines.len() < MAX_STATUS_LINES {
                log.lines.push(line.to_string());
                self.news.notify_all();
            }
        }
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ended = true;
        self.news.notify_all();
    }
}

impl Finished {
    /// Whether a status line has this keyword.
    pub(super) fn says(&self, keyword: &str) -> bool {
        self.lines(keyword).next().is_some()
    }

    /// The arguments of all status lines of this keyword.
    pub(super) fn lines<'a>(&'a self, keyword: &'a str) -> impl Iterator<Item = &'a str> {
        self.status
            .iter()
            .filter(move |line| keyword_of(line) == keyword)
            .map(move |line| line[keyword.len()..].trim())
    }

    /// What happened, with gpg's last words.
    pub(super) fn told(&self, what: &str) -> String {
        let words: Vec<&str> = self.last_words.iter().map(String::as_str).collect();
        if words.is_empty() {
            what.to_string()
        } else {
            format!("{what}: {}", words.join("; "))
        }
    }

    /// An error with gpg's last words, of the kind its status lines tell.
    pub(super) fn error(&self, what: &str) -> Error {
        let error = Error::new(self.kind(), self.told(what));
        match error.kind() {
            ErrorKind::WrongKey => error.with_hint(
                "check the passphrase, and with gpg --list-secret-keys whether the key is there",
            ),
            _ => error,
        }
    }

    /// Whether the secret key is here, and nobody told gpg its passphrase: no pinentry, no terminal, canceled.
    pub(super) fn met_locked_key(&self) -> bool {
        const BAD_PASSPHRASE: u32 = 11;
        let failures = self
            .lines("ERROR")
            .filter(|line| line.starts_with("pkdecrypt_failed"));
        let mut causes = failures.filter_map(code_of).peekable();
        // With try-all-secrets gpg tells no failure, and then that it has no key. A passphrase of the message itself is another thing.
        let asked = self.says("PINENTRY_LAUNCHED") && !self.says("NEED_PASSPHRASE_SYM");
        (asked || causes.peek().is_some()) && causes.all(|cause| cause != BAD_PASSPHRASE)
    }

    fn kind(&self) -> ErrorKind {
        let codes: Vec<u32> = ["ERROR", "FAILURE"]
            .iter()
            .flat_map(|keyword| self.lines(keyword))
            .filter_map(code_of)
            .collect();
        // Bad secret key, bad passphrase, no secret key, no or failing pinentry, bad PIN, canceled, no passphrase.
        let key = [7, 11, 17, 85, 86, 87, 99, 177, 198];
        let says_any = |keywords: &[&str]| keywords.iter().any(|keyword| self.says(keyword));
        if says_any(&["PLAINTEXT"]) {
            ErrorKind::Corrupt
        } else if says_any(&[
            "NO_SECKEY",
            "NEED_PASSPHRASE_SYM",
            "BAD_PASSPHRASE",
            "MISSING_PASSPHRASE",
        ]) || codes.iter().any(|code| key.contains(code))
            || self.met_locked_key()
        {
            ErrorKind::WrongKey
        } else if says_any(&["BADMDC", "DECRYPTION_FAILED", "NODATA"]) {
            ErrorKind::Corrupt
        } else {
            ErrorKind::Unsupported
        }
    }
}

/// The cause in an ERROR or FAILURE line: its last field is a libgpg-error code, of which the low 16 bits count.
fn code_of(line: &str) -> Option<u32> {
    let mut numbers = line
        .split_whitespace()
        .filter_map(|word| word.parse::<u32>().ok());
    numbers.next_back().map(|code| code & 0xffff)
}

fn keyword_of(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

fn last_words(stderr: impl Read) -> VecDeque<String> {
    let mut kept = VecDeque::new();
    for line in BufReader::new(stderr)
        .split(b'\n')
        .map_while(io::Result::ok)
    {
        let line = String::from_utf8_lossy(&line);
        let line = line.trim();
        let line = ["gpg: ", "gpgsm: "]
            .iter()
            .find_map(|name| line.strip_prefix(name))
            .unwrap_or(line);
        // gpgsm dumps certificates, and tells with each call what it was told not to do. Keys are nobody's business.
        let unwanted = ["DBG: ", "CRLs not checked", "session key: "];
        if line.is_empty() || unwanted.iter().any(|start| line.starts_with(start)) {
            continue;
        }
        if kept.len() == LAST_WORDS {
            kept.pop_front();
        }
        kept.push_back(line.chars().filter(|c| !c.is_control()).take(300).collect());
    }
    kept
}

fn pipe_error(error: io::Error) -> Error {
    Error::from(error).within("cannot make a pipe to gpg")
}
