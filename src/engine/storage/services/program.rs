//! Running another program that moves the bytes: `rclone`, `rsync`.
//!
//! Arguments only, never a shell; secrets go by the environment. The program dies with an urgent request to stop, and
//! is out of the terminal's process group, so that a first signal lets it finish.

use super::super::StorageOptions;
use super::super::transfer::{Download, Transfer};
use crate::engine::error::{Error, ErrorKind, Result};
use std::ffi::{OsStr, OsString};
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// The programs have the timeout as option of their own; this only bounds one that hangs for another reason.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Bytes taken from the program at a time.
const PIECE: usize = 64 << 10;

/// Last bytes of the program's complaints that are kept.
const MOST_COMPLAINTS: usize = 4096;

/// A program, with the environment it runs in.
pub(super) struct Program {
    name: &'static str,
    environment: Vec<(OsString, OsString)>,
    transfer: Arc<Transfer>,
}

/// How a program ended.
pub(super) struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub(super) code: Option<i32>,
    /// What it wrote to standard output, unless that was a download.
    pub(super) output: Vec<u8>,
    /// The end of what it wrote to standard error.
    pub(super) complaints: String,
}

impl Program {
    /// A program of a Debian package of the same name.
    ///
    /// It inherits nothing that looks like a secret, but for variables that start with `own`.
    pub(super) fn new(
        name: &'static str,
        own: &str,
        options: &StorageOptions,
        transfer: Arc<Transfer>,
    ) -> Self {
        let mut environment: Vec<_> = options
            .environment
            .for_helpers()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        environment.extend(options.environment.starting_with(own));
        Self {
            name,
            environment,
            transfer,
        }
    }

    /// Sets or replaces a variable.
    pub(super) fn with_variable(mut self, name: &str, value: OsString) -> Self {
        self.environment.push((name.into(), value));
        self
    }

    /// Removes a variable.
    pub(super) fn without_variable(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// Runs it to its end, with `input` on standard input; a download gets its standard output.
    ///
    /// # Errors
    /// `Unsupported` if it is not installed; `Interrupted`; and what the receiver says.
    pub(super) fn run<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        input: Vec<u8>,
        mut to: Option<&mut Download<'_>>,
    ) -> Result<Ended> {
        self.transfer.block_on(async {
            let mut child = Command::new(self.name)
                .args(arguments)
                .env_clear()
                .envs(self.environment.iter().map(|(name, value)| (name, value)))
                .env("LC_ALL", "C.UTF-8")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .process_group(0)
                .spawn()
                .map_err(|e| self.unstartable(e))?;
            let (Some(mut stdin), Some(mut stdout), Some(mut stderr)) =
                (child.stdin.take(), child.stdout.take(), child.stderr.take())
            else {
                return Err(Error::new(
                    ErrorKind::Internal,
                    format!("{} was started without pipes", self.name),
                ));
            };
            // A program that does not read its input says why itself.
            tokio::spawn(async move {
                let _ = stdin.write_all(&input).await;
            });
            let complaints = tokio::spawn(async move {
                let mut end = Vec::new();
                let mut piece = vec![0; 1024];
                while let Ok(bytes @ 1..) = stderr.read(&mut piece).await {
                    end.extend_from_slice(&piece[..bytes]);
                    let spare = end.len().saturating_sub(MOST_COMPLAINTS);
                    end.drain(..spare);
                }
                end
            });
            let mut output = Vec::new();
            let mut piece = vec![0; PIECE];
            loop {
                let read = self
                    .transfer
                    .answer_within(PATIENCE, stdout.read(&mut piece));
                let bytes = read.await?.map_err(|e| self.trouble(e))?;
                let Some(got) = piece.get(..bytes).filter(|got| !got.is_empty()) else {
                    break;
                };
                match &mut to {
                    Some(download) => download.push(got)?,
                    None => output.extend_from_slice(got),
                }
            }
            let wait = self.transfer.answer_within(PATIENCE, child.wait());
            let status = wait.await?.map_err(|e| self.trouble(e))?;
            // A grandchild may hold the pipe open after the end of the program itself.
            let complaints = tokio::time::timeout(self.transfer.timeout(), complaints).await;
            let complaints = complaints.ok().and_then(|done| done.ok());
            Ok(Ended {
                code: status.code(),
                output,
                complaints: String::from_utf8_lossy(&complaints.unwrap_or_default()).into_owned(),
            })
        })
    }

    fn unstartable(&self, error: io::Error) -> Error {
        let name = self.name;
        if error.kind() == io::ErrorKind::NotFound {
            let message = format!("the program {name} is not installed");
            Error::new(ErrorKind::Unsupported, message)
                .with_hint(format!("install {name}; on Debian: apt-get install {name}"))
        } else {
            self.trouble(error)
        }
    }

    fn trouble(&self, error: io::Error) -> Error {
        Error::new(ErrorKind::Io, format!("cannot run {}", self.name)).with_source(error)
    }
}

impl Ended {
    /// The last line of the complaints, no longer than a line.
    pub(super) fn last_words(&self) -> String {
        let line = self.complaints.lines().rev().find(|l| !l.trim().is_empty());
        let line: String = line.unwrap_or("no reason given").trim().chars().collect();
        line.chars().filter(|c| !c.is_control()).take(300).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &'static str, variables: &[(&str, &str)]) -> Program {
        let options = StorageOptions {
            environment: variables.iter().copied().collect(),
            ..StorageOptions::default()
        };
        let transfer = Arc::new(Transfer::new(&options));
        Program::new(name, "OWN_", &options, transfer)
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let ended = program("no-such-program", &[]).run(&["x"], Vec::new(), None);
        let error = ended.err().expect("missing");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.hint().is_some_and(|h| h.contains("no-such-program")));
    }

    #[test]
    fn only_its_own_secrets_are_inherited() {
        let all = [
            ("PASSPHRASE", "canary"),
            ("AWS_SECRET_ACCESS_KEY", "canary"),
            ("OWN_SECRET", "mine"),
            ("PATH", "/usr/bin:/bin"),
        ];
        let program = program("env", &all);
        let ended = program.run::<&str>(&[], Vec::new(), None).expect("env");
        let text = String::from_utf8_lossy(&ended.output).into_owned();
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("OWN_SECRET=mine"), "{text}");
    }

    #[test]
    fn input_output_and_code_come_through() {
        let arguments = ["-c", "cat; echo first >&2; echo last >&2; exit 3"];
        let ended = program("sh", &[]).run(&arguments, vec![7; 100_000], None);
        let ended = ended.expect("sh");
        assert_eq!(ended.code, Some(3));
        assert_eq!(ended.output, vec![7; 100_000]);
        assert_eq!(ended.last_words(), "last");
    }
}
