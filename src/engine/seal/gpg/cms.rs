//! Opens CMS messages by a gpgsm process.
//!
//! While gpgsm decrypts it keeps its certificates locked: another one waits until it is done. Whoever reads two messages by
//! turns would wait for ever, as duplicity does. So each message is decrypted to its end, into a file without a name,
//! before its first byte is given away, and one at a time.
//!
//! gpgsm tells less than gpg: why a key does not fit only its words say, which are English as no locale is set. Whether a
//! message was changed nobody can tell: such messages have no checksum. For volumes the hashes in manifests do.

use super::Gpg;
use super::decrypt::{Fed, Input, OPEN, REFUSED, feed, lost, offers};
use super::process::{Finished, Process};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::seal::openpgp::unlock::Secrets;
use crate::engine::secret::Secret;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::SpooledTempFile;

/// Content up to this size needs no file.
const IN_MEMORY_BYTES: usize = 1024 * 1024;

/// Bytes taken from gpgsm at once.
const PIECE_BYTES: usize = 64 * 1024;

/// What gpgsm says at the end of a message that it opened.
const DONE: &str = "DECRYPTION_OKAY";

/// Who reads CMS messages.
pub(in crate::engine::seal) struct Opener {
    gpgsm: Gpg,
    /// Where content waits for its reader.
    dir: PathBuf,
    /// One message at a time: gpgsm looks ever more seldom whether another one is done.
    turn: Mutex<()>,
}

impl Opener {
    /// Content waits in this directory.
    pub(in crate::engine::seal) fn new(gpgsm: Gpg, dir: Option<&Path>) -> Self {
        Self {
            gpgsm,
            dir: dir.unwrap_or(Path::new("/tmp")).to_path_buf(),
            turn: Mutex::default(),
        }
    }

    /// Opens a message with the passphrases at hand, or else by what the agent knows.
    ///
    /// # Errors
    /// `WrongKey` if no key opens it, `Corrupt` if it is not a whole message, `Unsupported` if gpgsm cannot run.
    pub(in crate::engine::seal) fn open(
        &self,
        secrets: &Secrets,
        message: Box<dyn Read + Send>,
    ) -> Result<impl Read + Send + use<>> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut input = Input {
            seen: Vec::new(),
            complete: true,
            rest: message,
        };
        let mut refusal = None;
        for offer in offers(secrets) {
            let passphrase = offer.map(|(_, passphrase)| passphrase);
            let (finished, again) = match self.attempt(passphrase, input)? {
                Ok(content) => {
                    if let Some((number, _)) = offer {
                        secrets.was_good(number);
                    }
                    return Ok(content);
                }
                Err(refused) => refused,
            };
            input = again;
            let no_use = why(&finished) != ErrorKind::WrongKey || !input.complete;
            refusal = Some(finished);
            if no_use {
                break;
            }
        }
        let Some(finished) = refusal else {
            let text = "no key to decrypt it with";
            return Err(Error::new(ErrorKind::WrongKey, text));
        };
        if is_locked(&finished) {
            secrets.met_locked_key();
        }
        Err(error(&finished))
    }

    /// The content of a message; if gpgsm refuses it, what it said, and the message once more.
    fn attempt(
        &self,
        passphrase: Option<&Secret>,
        input: Input,
    ) -> Result<std::result::Result<SpooledTempFile, (Finished, Input)>> {
        let arguments = ["--decrypt", "--output", "-"].map(Into::into);
        let mut process = Process::start(&self.gpgsm, arguments, passphrase)?;
        let (Some(stdin), Some(stdout)) = (process.stdin.take(), process.stdout.take()) else {
            let text = "gpgsm has no standard input and output";
            return Err(Error::new(ErrorKind::Internal, text));
        };
        let verdict = Arc::new(AtomicU8::new(0));
        let feeder = std::thread::spawn({
            let verdict = Arc::clone(&verdict);
            move || feed(input, stdin, &verdict)
        });
        let mut content = tempfile::spooled_tempfile_in(IN_MEMORY_BYTES, &self.dir);
        self.drain(stdout, &mut content, &verdict)?;
        // The output has ended, so gpgsm is about to.
        let finished = process.finish()?;
        let whole = finished.success && finished.says(DONE);
        if !whole {
            verdict.store(REFUSED, Ordering::Relaxed);
        }
        let Fed { input, error } = feeder.join().map_err(|_| lost())?;
        if let Some(error) = error {
            return Err(Error::from(error).within("cannot read the encrypted file"));
        }
        if !whole {
            return Ok(Err((finished, input)));
        }
        content.rewind().map_err(|e| self.spooling(e))?;
        Ok(Ok(content))
    }

    fn drain(
        &self,
        mut from: ChildStdout,
        to: &mut SpooledTempFile,
        verdict: &AtomicU8,
    ) -> Result<()> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let n = match from.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Error::from(e).within("cannot read from gpgsm")),
            };
            // It has begun, so the key fits.
            verdict.store(OPEN, Ordering::Relaxed);
            to.write_all(piece.get(..n).unwrap_or_default())
                .map_err(|e| self.spooling(e))?;
        }
    }

    fn spooling(&self, error: std::io::Error) -> Error {
        Error::io("write a spool file in", &self.dir, error)
    }
}

/// What it means that gpgsm refused a message.
fn why(finished: &Finished) -> ErrorKind {
    let told = finished.told("");
    if finished.says("NO_SECKEY") {
        ErrorKind::WrongKey
    } else if told.contains("No secret key") && !told.contains("Invalid session key") {
        // Said for every failure of the key, a wrong passphrase included.
        ErrorKind::WrongKey
    } else if finished.says("DECRYPTION_FAILED") {
        ErrorKind::Corrupt
    } else {
        ErrorKind::Unsupported
    }
}

/// Whether the secret key is here, and nobody told its passphrase.
fn is_locked(finished: &Finished) -> bool {
    why(finished) == ErrorKind::WrongKey
        && !finished.says("NO_SECKEY")
        && !finished.told("").contains("Bad passphrase")
}

fn error(finished: &Finished) -> Error {
    let error = Error::new(why(finished), finished.told("gpgsm cannot decrypt it"));
    match error.kind() {
        ErrorKind::WrongKey => error.with_hint(
            "check the passphrase, and with gpgsm --list-secret-keys whether the key is there",
        ),
        _ => error,
    }
}
