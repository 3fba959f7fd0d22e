//! Decrypts by a gpg process.
//!
//! Input is fed by a thread of its own, so neither side waits for the other. Whether a passphrase fits is known once
//! gpg has seen the head of the message, before the rest is read; so several can be tried on one stream.

use super::Gpg;
use super::process::{Finished, Process};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::seal::openpgp::read::{not_signed_by, same_key};
use crate::engine::seal::openpgp::unlock::Secrets;
use crate::engine::secret::Secret;
use sequoia_openpgp::Fingerprint;
use std::io::{self, Read, Write};
use std::process::ChildStdin;
use std::thread::JoinHandle;

/// Bytes handed to gpg at once.
const FEED_BYTES: usize = 64 * 1024;

/// Whose signature gpg must report, and how the user named the key.
pub(in crate::engine::seal) struct Signer {
    pub name: String,
    pub keys: Vec<Fingerprint>,
}

/// Opens a message of which `head` was already read, with the passphrases at hand or else by what the agent knows.
pub(in crate::engine::seal) fn decrypt(
    gpg: &Gpg,
    secrets: &Secrets,
    signer: Option<Signer>,
    head: Vec<u8>,
    rest: Box<dyn Read + Send>,
) -> Result<impl Read + Send + use<>> {
    let mut refusal = None;
    for (number, passphrase) in secrets.passphrases() {
        match attempt(gpg, Some(passphrase), signer.is_some(), &head)? {
            Attempt::Open(process, head) => {
                secrets.was_good(number);
                return Ok(GpgReader::start(process, head, rest, signer));
            }
            Attempt::Refused(finished) => refusal = Some(finished),
        }
    }
    if refusal.is_none() {
        // Nothing to offer: the agent may know the passphrase, or ask for it, or the key may have none.
        match attempt(gpg, None, signer.is_some(), &head)? {
            Attempt::Open(process, head) => {
                return Ok(GpgReader::start(process, head, rest, signer));
            }
            Attempt::Refused(finished) => refusal = Some(finished),
        }
    }
    Err(match refusal {
        Some(finished) => finished.error("gpg cannot decrypt it"),
        None => Error::new(ErrorKind::WrongKey, "no key to decrypt it with"),
    })
}

enum Attempt {
    /// gpg has the session key; the thread hands over its input once the head is written.
    Open(Process, JoinHandle<io::Result<ChildStdin>>),
    Refused(Finished),
}

fn attempt(gpg: &Gpg, passphrase: Option<&Secret>, verify: bool, head: &[u8]) -> Result<Attempt> {
    // Signatures nobody asked for are not checked: a missing public key would be an error otherwise.
    let verify = if verify { None } else { Some("--skip-verify") };
    let arguments = verify.into_iter().chain(["--decrypt", "--output", "-"]);
    let mut process = Process::start(gpg, arguments.map(Into::into), passphrase)?;
    let Some(mut stdin) = process.stdin.take() else {
        return Err(Error::new(ErrorKind::Internal, "gpg has no standard input"));
    };
    let head = head.to_vec();
    // A thread of its own, for a head longer than the pipe waits until gpg reads, which may wait for its output.
    let feeder = std::thread::spawn(move || stdin.write_all(&head).map(|()| stdin));
    match process
        .wait_for(&["BEGIN_DECRYPTION", "DECRYPTION_FAILED", "NODATA", "FAILURE"])
        .as_deref()
    {
        Some("BEGIN_DECRYPTION") => Ok(Attempt::Open(process, feeder)),
        _ => {
            // It may wait for more input; closing it lets gpg end and say what it has to say.
            drop(feeder.join());
            drop(process.stdout.take());
            Ok(Attempt::Refused(process.finish()?))
        }
    }
}

/// Reads gpg's output and checks how it ended.
struct GpgReader {
    process: Option<Process>,
    feeder: Option<JoinHandle<io::Result<()>>>,
    signer: Option<Signer>,
    failed: bool,
}

impl GpgReader {
    fn start(
        process: Process,
        head: JoinHandle<io::Result<ChildStdin>>,
        mut rest: Box<dyn Read + Send>,
        signer: Option<Signer>,
    ) -> Self {
        let feeder = std::thread::spawn(move || match head.join() {
            Ok(Ok(stdin)) => feed(&mut rest, stdin),
            // gpg closed its input; its own words tell more than a broken pipe.
            Ok(Err(_)) => Ok(()),
            Err(_) => {
                Err(Error::new(ErrorKind::Internal, "the thread feeding gpg ended early").into())
            }
        });
        Self {
            process: Some(process),
            feeder: Some(feeder),
            signer,
            failed: false,
        }
    }

    fn check(&mut self, process: Process) -> Result<()> {
        // The output has ended, so gpg reads no more and the feeder can only fail or be done.
        let fed = self.feeder.take().map_or(Ok(Ok(())), JoinHandle::join);
        let finished = process.finish()?;
        match fed {
            Ok(fed) => fed.map_err(|e| Error::from(e).within("cannot read the encrypted file"))?,
            Err(_) => {
                return Err(Error::new(
                    ErrorKind::Internal,
                    "the thread feeding gpg ended early",
                ));
            }
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

fn feed(rest: &mut dyn Read, mut stdin: ChildStdin) -> io::Result<()> {
    let mut buffer = vec![0; FEED_BYTES];
    loop {
        let n = match rest.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        if stdin
            .write_all(buffer.get(..n).unwrap_or_default())
            .is_err()
        {
            return Ok(());
        }
    }
}
