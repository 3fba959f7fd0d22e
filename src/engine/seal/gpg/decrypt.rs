//! Decrypts by a gpg process.
//!
//! A thread of its own feeds gpg, so neither side waits for the other. Whether a passphrase fits shows once gpg has
//! seen enough of the message, and how much that is only gpg knows; so what it was fed until then is kept for the
//! next attempt.

use super::Gpg;
use super::process::{Finished, Process};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::seal::openpgp::read::{not_signed_by, same_key};
use crate::engine::seal::openpgp::unlock::Secrets;
use crate::engine::secret::Secret;
use sequoia_openpgp::Fingerprint;
use std::io::{self, Read, Write};
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;

/// Bytes handed to gpg at once.
const FEED_BYTES: usize = 64 * 1024;

/// Most that is kept of a message for another attempt; gpg knows its mind after some hundred kilobytes.
const MAX_REPLAY_BYTES: usize = 1024 * 1024;

/// Whose signature gpg must report, and how the user named the key.
pub(in crate::engine::seal) struct Signer {
    pub name: String,
    pub keys: Vec<Fingerprint>,
}

/// Opens a message of which `seen` was already read, with the passphrases at hand or else by what the agent knows.
pub(in crate::engine::seal) fn decrypt(
    gpg: &Gpg,
    secrets: &Secrets,
    signer: Option<Signer>,
    seen: Vec<u8>,
    rest: Box<dyn Read + Send>,
) -> Result<impl Read + Send + use<>> {
    let mut input = Input {
        seen,
        complete: true,
        rest,
    };
    let mut refusal = None;
    for offer in offers(secrets) {
        if !input.complete {
            break;
        }
        let attempt = Attempt::start(
            gpg,
            offer.map(|(_, passphrase)| passphrase),
            signer.is_some(),
            input,
        )?;
        match attempt.outcome()? {
            Ok((process, feeder)) => {
                if let Some((number, _)) = offer {
                    secrets.was_good(number);
                }
                return Ok(GpgReader {
                    process: Some(process),
                    feeder: Some(feeder),
                    signer,
                    failed: false,
                });
            }
            Err((finished, again)) => {
                refusal = Some(finished);
                input = again;
            }
        }
    }
    Err(match refusal {
        Some(finished) => {
            if finished.met_locked_key() {
                secrets.met_locked_key();
            }
            finished.error("gpg cannot decrypt it")
        }
        None => Error::new(ErrorKind::WrongKey, "no key to decrypt it with"),
    })
}

/// What is tried one after the other: passphrases with their numbers. With nothing to offer, the agent may know the
/// passphrase, or ask for it, or the key may have none.
pub(super) fn offers(secrets: &Secrets) -> Vec<Option<(usize, &Secret)>> {
    let mut offers: Vec<_> = secrets.passphrases().map(Some).collect();
    if offers.is_empty() {
        offers.push(None);
    }
    offers
}

/// A message that may have to be read from its beginning once more.
pub(super) struct Input {
    /// What was read of it.
    pub seen: Vec<u8>,
    /// Whether `seen` is all that was read.
    pub complete: bool,
    pub rest: Box<dyn Read + Send>,
}

/// What is known of the passphrase offered: nothing yet, that it fits, that it does not.
pub(super) const OPEN: u8 = 1;
pub(super) const REFUSED: u8 = 2;

/// What the thread that feeds gpg leaves behind.
pub(super) struct Fed {
    pub input: Input,
    pub error: Option<io::Error>,
}

/// A gpg that was offered a passphrase.
struct Attempt {
    process: Process,
    feeder: JoinHandle<Fed>,
    verdict: Arc<AtomicU8>,
}

impl Attempt {
    fn start(gpg: &Gpg, passphrase: Option<&Secret>, verify: bool, input: Input) -> Result<Self> {
        // Signatures nobody asked for are not checked: a missing public key would be an error otherwise.
        let verify = if verify { None } else { Some("--skip-verify") };
        let arguments = verify.into_iter().chain(["--decrypt", "--output", "-"]);
        let mut process = Process::start(gpg, arguments.map(Into::into), passphrase)?;
        let Some(stdin) = process.stdin.take() else {
            return Err(Error::new(ErrorKind::Internal, "gpg has no standard input"));
        };
        let verdict = Arc::new(AtomicU8::new(0));
        let feeder = std::thread::spawn({
            let verdict = Arc::clone(&verdict);
            move || feed(input, stdin, &verdict)
        });
        Ok(Self {
            process,
            feeder,
            verdict,
        })
    }

    /// Waits until it is known whether the passphrase fits.
    #[allow(clippy::type_complexity)]
    fn outcome(mut self) -> Result<Result<(Process, JoinHandle<Fed>), (Finished, Input)>> {
        // The passphrase of a key fails early, that of a message only where its first packets turn out to be garbage.
        let told = self
            .process
            .wait_for(&["PLAINTEXT", "DECRYPTION_FAILED", "NODATA", "FAILURE"]);
        if told.as_deref() == Some("PLAINTEXT") {
            self.verdict.store(OPEN, Ordering::Relaxed);
            return Ok(Ok((self.process, self.feeder)));
        }
        self.verdict.store(REFUSED, Ordering::Relaxed);
        drop(self.process.stdout.take());
        let finished = self.process.finish_soon()?;
        let Fed { input, error } = self.feeder.join().map_err(|_| lost())?;
        match error {
            Some(error) => Err(Error::from(error).within("cannot read the encrypted file")),
            None => Ok(Err((finished, input))),
        }
    }
}

/// Writes the message to gpg until it ends, gpg ends, or the passphrase is refused.
pub(super) fn feed(mut input: Input, mut stdin: ChildStdin, verdict: &AtomicU8) -> Fed {
    if stdin.write_all(&input.seen).is_err() {
        return Fed { input, error: None };
    }
    let mut buffer = vec![0; FEED_BYTES];
    loop {
        let verdict = verdict.load(Ordering::Relaxed);
        if verdict == REFUSED {
            return Fed { input, error: None };
        }
        let piece = match input.rest.read(&mut buffer) {
            Ok(n) => buffer.get(..n).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Fed {
                    input,
                    error: Some(error),
                };
            }
        };
        if piece.is_empty() {
            return Fed { input, error: None };
        }
        if verdict == OPEN || input.seen.len() + piece.len() > MAX_REPLAY_BYTES {
            input.complete = false;
            input.seen = Vec::new();
        }
        if input.complete {
            input.seen.extend_from_slice(piece);
        }
        // gpg's own words tell more than a broken pipe.
        if stdin.write_all(piece).is_err() {
            return Fed { input, error: None };
        }
    }
}

pub(super) fn lost() -> Error {
    Error::new(ErrorKind::Internal, "the thread feeding gpg ended early")
}

/// Reads gpg's output and checks how it ended.
struct GpgReader {
    process: Option<Process>,
    feeder: Option<JoinHandle<Fed>>,
    signer: Option<Signer>,
    failed: bool,
}

impl GpgReader {
    fn check(&mut self, process: Process) -> Result<()> {
        // The output has ended, so gpg is about to end too and takes the feeder's pipe with it.
        let finished = process.finish()?;
        if let Some(feeder) = self.feeder.take()
            && let Some(error) = feeder.join().map_err(|_| lost())?.error
        {
            return Err(Error::from(error).within("cannot read the encrypted file"));
        }
        if !finished.success || !finished.says("DECRYPTION_OKAY") {
            return Err(finished.error("gpg cannot decrypt it"));
        }
        let Some(signer) = &self.signer else {
            return Ok(());
        };
        // GOODSIG means a good signature by a key that is neither expired nor revoked; VALIDSIG names it in full.
        let good = finished.says("GOODSIG");
        let by: Vec<&str> = finished
            .lines("VALIDSIG")
            .filter_map(|line| line.split(' ').next())
            .collect();
        if good
            && by
                .iter()
                .any(|hex| signer.keys.iter().any(|key| same_key(key, hex)))
        {
            return Ok(());
        }
        Err(not_signed_by(&signer.name, &by.join(", ")))
    }
}

impl Read for GpgReader {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        if data.is_empty() {
            return Ok(0);
        }
        if self.failed {
            return Err(Error::new(ErrorKind::Corrupt, "reading goes on after an error").into());
        }
        let Some(stdout) = self
            .process
            .as_mut()
            .and_then(|process| process.stdout.as_mut())
        else {
            return Ok(0);
        };
        let n = stdout.read(data)?;
        if n == 0
            && let Some(process) = self.process.take()
        {
            self.failed = true;
            self.check(process)?;
            self.failed = false;
        }
        Ok(n)
    }
}
