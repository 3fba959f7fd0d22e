//! Encrypts by a gpg process, for options of gpg that the writer in process cannot honor; and by gpgsm.
//!
//! How much gpg has written shows only by and by, and depends on the speed of two programs. What a file will be long is
//! therefore estimated from its content alone: as if our own deflate had compressed it.

use super::process::Process;
use super::{Gpg, unexpected};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::seal::deflate::{DeflateWriter, Pool};
use crate::engine::seal::hash::{HashingWriter, Written};
use crate::engine::seal::openpgp::head::{Head, peek};
use crate::engine::seal::{Encryption, SealOptions, SealWriter, Signature};
use crate::engine::secret::Secret;
use std::ffi::OsString;
use std::io::{self, Cursor, Read, Sink, Write};
use std::process::ChildStdout;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Room for session keys, a signature and framing.
const OVERHEAD_BYTES: u64 = 1200;

/// Bytes taken from gpg at once.
const PIECE_BYTES: usize = 128 * 1024;

/// How gpg is to write messages.
pub(in crate::engine::seal) struct Orders {
    gpg: Gpg,
    arguments: Vec<OsString>,
    passphrase: Option<Secret>,
    /// Whether it is a gpgsm.
    cms: bool,
    /// Whom a gpgsm encrypts to.
    recipients: Vec<String>,
}

impl Orders {
    /// Orders for this way of encrypting; `None` if nothing is encrypted.
    ///
    /// # Errors
    /// `Usage` for an empty passphrase, and if two are needed: gpg takes but one.
    pub(in crate::engine::seal) fn new(
        gpg: &Gpg,
        options: &SealOptions,
        compresses: bool,
    ) -> Result<Option<Self>> {
        let mut arguments: Vec<OsString> = Vec::new();
        let encryption = &options.encryption;
        let (main, sign) = match encryption {
            Encryption::None => return Ok(None),
            Encryption::Symmetric { passphrase, .. } if passphrase.is_empty() => {
                return Err(Error::new(ErrorKind::Usage, "the passphrase is empty")
                    .with_hint("write one where the passphrase is looked for"));
            }
            Encryption::Symmetric { passphrase, sign } => {
                arguments.push("--symmetric".into());
                (Some(passphrase), sign)
            }
            Encryption::PublicKey {
                recipients,
                hidden,
                passphrase,
                sign,
            } => {
                for name in recipients {
                    let option = match *hidden || options.hidden_recipients.contains(name) {
                        true => "--hidden-recipient",
                        false => "--recipient",
                    };
                    arguments.extend([option.into(), name.into()]);
                }
                arguments.push("--encrypt".into());
                (passphrase.as_ref(), sign)
            }
        };
        let mut passphrase = match encryption {
            Encryption::Symmetric { .. } => main,
            _ => None,
        };
        if let Some(Signature {
            key,
            passphrase: own,
        }) = sign
        {
            arguments.extend(["--local-user".into(), key.into(), "--sign".into()]);
            let own = own.as_ref().or(main).filter(|own| !own.is_empty());
            match (passphrase, own) {
                (Some(one), Some(other)) if one.expose() != other.expose() => {
                    let text = "gpg takes one passphrase: that of the signing key is not that of the backup";
                    return Err(Error::new(ErrorKind::Usage, text).with_hint(
                        "leave out the options of gpg, or give both the same passphrase",
                    ));
                }
                (None, own) => passphrase = own,
                _ => {}
            }
        }
        arguments.extend(["--no-armor", "--output", "-"].map(Into::into));
        // What stands before the user's own options gives way to them.
        let mut words: Vec<String> = vec!["--trust-model=always".into()];
        if !compresses {
            words.push("--compress-algo=none".into());
        }
        words.extend(gpg.options.iter().cloned());
        Ok(Some(Self {
            gpg: Gpg {
                options: words,
                ..gpg.clone()
            },
            arguments,
            passphrase: passphrase.cloned(),
            cms: false,
            recipients: Vec::new(),
        }))
    }

    /// Orders for a gpgsm; `None` if nothing is encrypted.
    ///
    /// # Errors
    /// `Usage` for what gpgsm does not do: passphrases, signatures, hidden recipients.
    pub(in crate::engine::seal) fn cms(gpgsm: Gpg, options: &SealOptions) -> Result<Option<Self>> {
        let refused = |why: &str| {
            let text = format!("gpgsm {why}");
            Err(Error::new(ErrorKind::Usage, text).with_hint("use OpenPGP keys for that"))
        };
        let recipients = match &options.encryption {
            Encryption::None => return Ok(None),
            Encryption::Symmetric { .. } => {
                return refused("encrypts to certificates only, and none is named");
            }
            Encryption::PublicKey { sign: Some(_), .. } => {
                return refused("cannot sign what it encrypts");
            }
            Encryption::PublicKey { hidden: true, .. } => {
                return refused("cannot hide whom it encrypts to");
            }
            Encryption::PublicKey { .. } if !options.hidden_recipients.is_empty() => {
                return refused("cannot hide whom it encrypts to");
            }
            Encryption::PublicKey { recipients, .. } => recipients,
        };
        let mut arguments: Vec<OsString> = Vec::new();
        for name in recipients {
            arguments.extend(["--recipient".into(), name.into()]);
        }
        arguments.extend(["--encrypt", "--output", "-"].map(Into::into));
        Ok(Some(Self {
            gpg: gpgsm,
            arguments,
            passphrase: None,
            cms: true,
            recipients: recipients.clone(),
        }))
    }

    /// Encrypts nothing, to see whether gpg would, and tells for whom.
    ///
    /// # Errors
    /// What gpg says of its options and keys.
    pub(in crate::engine::seal) fn trial(&self) -> Result<Head> {
        let message = self.attempt("look at the options for gpg")?;
        let (head, ..) = peek(Box::new(Cursor::new(message)))?;
        Ok(head)
    }

    /// Encrypts nothing, to see whether a gpgsm would.
    ///
    /// # Errors
    /// What it says of its options and certificates.
    pub(in crate::engine::seal) fn trial_of_cms(&self) -> Result<()> {
        self.attempt("see with gpgsm --list-keys --with-validation whether the certificate is there and trusted")
            .map(drop)
    }

    /// Whether the secret key of any recipient of a gpgsm is here.
    pub(in crate::engine::seal) fn has_secret(&self) -> Result<bool> {
        for name in &self.recipients {
            if self.gpg.has_secret_of(name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn attempt(&self, hint: &str) -> Result<Vec<u8>> {
        let message = Arc::new(Mutex::new(Vec::new()));
        let out = Box::new(Shared(Arc::clone(&message)));
        Box::new(GpgWriter::start(self, None, out)?)
            .finish()
            .map_err(|e| e.with_hint(hint))?;
        let mut message = message.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *message))
    }
}

/// Bytes that are looked at when they are written.
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How long a message will be.
enum Gauge {
    Deflated(DeflateWriter<Sink>),
    Plain(u64),
    /// gpgsm has a header for every four kilobytes, and compresses nothing.
    Cms(u64),
}

/// A message gpg is writing.
pub(in crate::engine::seal) struct GpgWriter {
    process: Process,
    /// Carries gpg's output away, so that it never waits for us while we wait for it.
    carrier: JoinHandle<Result<HashingWriter<Box<dyn Write + Send>>>>,
    gauge: Gauge,
    signs: bool,
    cms: bool,
}

impl GpgWriter {
    /// Starts a message on `out`; with a pool its length is estimated as of what is compressed in blocks of so many bytes.
    pub(in crate::engine::seal) fn start(
        orders: &Orders,
        deflate: Option<(&Pool, usize)>,
        out: Box<dyn Write + Send>,
    ) -> Result<Self> {
        let arguments = orders.arguments.iter().cloned();
        let mut process = Process::start(&orders.gpg, arguments, orders.passphrase.as_ref())?;
        let Some(stdout) = process.stdout.take() else {
            let text = "gpg has no standard output";
            return Err(Error::new(ErrorKind::Internal, text));
        };
        Ok(Self {
            process,
            carrier: std::thread::spawn(move || carry(stdout, HashingWriter::new(out))),
            gauge: match deflate {
                Some((pool, bytes)) => {
                    Gauge::Deflated(DeflateWriter::new(pool, bytes, io::sink())?)
                }
                None if orders.cms => Gauge::Cms(0),
                None => Gauge::Plain(0),
            },
            signs: orders.arguments.iter().any(|word| word == "--sign"),
            cms: orders.cms,
        })
    }
}

/// Writes what gpg writes.
fn carry<W: Write>(mut from: ChildStdout, mut to: HashingWriter<W>) -> Result<HashingWriter<W>> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(to),
            Ok(n) => to.write_all(piece.get(..n).unwrap_or_default())?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::from(e).within("cannot read from gpg")),
        }
    }
}

impl Write for GpgWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let Some(stdin) = &mut self.process.stdin else {
            let text = "content after the end of a message";
            return Err(Error::new(ErrorKind::Internal, text).into());
        };
        match stdin.write_all(data) {
            // It gave up, or its output has nowhere to go; which of both is told at the end.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
        match &mut self.gauge {
            Gauge::Deflated(deflate) => deflate.write_all(data)?,
            Gauge::Plain(bytes) | Gauge::Cms(bytes) => *bytes += data.len() as u64,
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SealWriter for GpgWriter {
    fn estimated_bytes(&self) -> u64 {
        OVERHEAD_BYTES
            + match &self.gauge {
                Gauge::Deflated(deflate) => deflate.estimated_bytes(),
                Gauge::Plain(bytes) => *bytes,
                Gauge::Cms(bytes) => *bytes + bytes / 1024,
            }
    }

    fn finish(mut self: Box<Self>) -> Result<Written> {
        drop(self.process.stdin.take());
        let carried = self.carrier.join().unwrap_or_else(|_| {
            let text = "the thread behind gpg ended early";
            Err(Error::new(ErrorKind::Internal, text))
        });
        let finished = self.process.finish();
        // A full disk ends gpg, too; then its own words are of a broken pipe.
        let out = carried?;
        let finished = finished?;
        let done = match self.cms {
            // It says nothing when it is done.
            true => out.bytes() > 0,
            false => {
                finished.says("END_ENCRYPTION") && (!self.signs || finished.says("SIG_CREATED"))
            }
        };
        if !finished.success {
            let program = if self.cms { "gpgsm" } else { "gpg" };
            return Err(finished.error(&format!("{program} cannot encrypt")));
        }
        if !done {
            return Err(unexpected("did not say that it encrypted"));
        }
        Ok(out.finish()?)
    }
}
