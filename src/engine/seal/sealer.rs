//! The one maker of sealed files: picks the writer and the reader for each form and each message.

use super::gpg::{self, Gpg, GpgWriter, Opener, Orders};
use super::gzip::{GzipReader, GzipWriter};
use super::hash::ReadHash;
use super::inflate::Crew;
use super::keyring::Keys;
use super::keys::{Encryption, Keyring, SealOptions, Signature};
use super::middle::{Middle, Section};
use super::openpgp::head::{Container, Head, peek};
use super::openpgp::read::{
    MessageReader, RequiredSigner, Unlocked, key_of, not_signed_by, unlocked_by,
};
use super::openpgp::sign::SigningKey;
use super::openpgp::unlock::{PassphraseKey, Secrets};
use super::openpgp::write::{Lock, MessageWriter};
use super::plain::PlainWriter;
use super::{Compression, Form, Seal, SealWriter, deflate};
use crate::engine::ahead::Permits;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use sequoia_openpgp::types::SymmetricAlgorithm;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;

/// Messages of one seal that are decrypted on threads of their own at a time.
const AHEAD: usize = 4;

/// See [`open`](super::keys::open).
pub(super) struct Sealer {
    form: Form,
    pool: deflate::Pool,
    block_bytes: usize,
    lock: Option<Lock>,
    signer: Option<SigningKey>,
    /// How gpg or gpgsm is to write, if one of them is.
    orders: Option<Orders>,
    secrets: Arc<Secrets>,
    /// Reads what cannot be read in process.
    gpg: Option<Gpg>,
    /// Reads CMS messages.
    cms: Opener,
    required_signer: Option<RequiredSigner>,
    can_read_back: bool,
    /// Whether gpg's agent may know passphrases that are not here.
    by_agent: bool,
    /// Messages decrypted ahead.
    ahead: Permits,
    /// Who inflates.
    crew: Crew,
}

impl Sealer {
    pub(super) fn open(options: &SealOptions) -> Result<Self> {
        let SealOptions {
            encryption,
            compression,
            ..
        } = options;
        let (main, sign) = match encryption {
            Encryption::None => (None, &None),
            Encryption::Symmetric { passphrase, sign } => (Some(passphrase), sign),
            Encryption::PublicKey {
                passphrase, sign, ..
            } => (passphrase.as_ref(), sign),
        };
        let sign_passphrase = sign.as_ref().and_then(|sign| sign.passphrase.as_ref());
        let passphrases: Vec<Secret> = main
            .into_iter()
            .chain(sign_passphrase)
            .chain(&options.further_passphrases)
            .cloned()
            .collect();

        // gpg is only asked if a key is needed: a passphrase alone works without GnuPG.
        let certificates = matches!(options.keyring, Keyring::Certificates(_));
        let asymmetric =
            matches!(encryption, Encryption::PublicKey { .. }) && !options.gpgsm.writes;
        let signs = sign.is_some() && !options.gpgsm.writes;
        let wants_keys = certificates || asymmetric || signs || options.required_signer.is_some();
        let keys = if wants_keys {
            Some(Keys::open(&options.keyring, &options.gpg_options)?)
        } else {
            None
        };
        let keyring = || {
            keys.as_ref()
                .ok_or_else(|| Error::new(ErrorKind::Internal, "the keyring was not opened"))
        };

        let secrets = Arc::new(Secrets::new(
            passphrases,
            keys.as_ref().map(Keys::secret_keys).unwrap_or_default(),
        ));
        let gpg = Gpg::of(&options.keyring, &options.gpg_options);
        let pool = deflate::Pool::new(*compression, options.threads);
        let gpgsm = Gpg::cms(&options.keyring, &options.gpgsm);
        let orders = match &gpg {
            _ if options.gpgsm.writes => Orders::cms(gpgsm.clone(), options)?,
            Some(gpg) if options.by_gpg => Orders::new(gpg, options, pool.compresses())?,
            _ => None,
        };
        let mut can_read_back = true;
        if let Some(orders) = orders.as_ref().filter(|_| options.gpgsm.writes) {
            orders.trial_of_cms()?;
            can_read_back = orders.has_secret()?;
        } else if let Some(orders) = &orders {
            let head = orders.trial()?;
            can_read_back = head.passphrases > 0 || keyring()?.opens(&head.recipients);
        }
        let lock = match encryption {
            Encryption::None => None,
            _ if orders.is_some() => None,
            Encryption::Symmetric { passphrase, .. } => {
                if passphrase.is_empty() {
                    return Err(Error::new(ErrorKind::Usage, "the passphrase is empty")
                        .with_hint("write one where the passphrase is looked for"));
                }
                Some(Lock::Passphrase(PassphraseKey::new(
                    Arc::clone(&secrets),
                    0,
                )))
            }
            Encryption::PublicKey {
                recipients, hidden, ..
            } => {
                if recipients.is_empty() {
                    return Err(
                        Error::new(ErrorKind::Usage, "no key to encrypt to is given")
                            .with_hint("name the key, or give a passphrase"),
                    );
                }
                let keyring = keyring()?;
                let recipients = recipients
                    .iter()
                    .map(|name| {
                        let hidden = *hidden || options.hidden_recipients.contains(name);
                        keyring.recipient(name, hidden)
                    })
                    .collect::<Result<Vec<_>>>()?;
                can_read_back = recipients
                    .iter()
                    .any(|recipient| keyring.has_secret(&recipient.key.fingerprint()));
                Some(Lock::Recipients(recipients))
            }
        };
        let signer = match sign {
            None => None,
            _ if orders.is_some() => None,
            Some(Signature { key, passphrase }) => {
                // duplicity lets one passphrase serve both keys.
                let candidates: Vec<Secret> = passphrase.iter().chain(main).cloned().collect();
                Some(keyring()?.signer(key, &candidates)?)
            }
        };
        let required_signer = match &options.required_signer {
            None => None,
            Some(name) => Some(RequiredSigner {
                name: name.clone(),
                cert: keyring()?.find(name)?,
            }),
        };
        let form = match (encryption, compression) {
            (Encryption::None, Compression::None) => Form::Plain,
            (Encryption::None, _) => Form::Gzip,
            _ if options.gpgsm.writes => Form::Cms,
            _ => Form::Gpg,
        };
        Ok(Self {
            form,
            pool,
            block_bytes: options.block_bytes.unwrap_or(deflate::BLOCK_BYTES),
            lock,
            signer,
            orders,
            secrets,
            gpg,
            cms: Opener::new(gpgsm, options.gpgsm.temp_dir.as_deref()),
            required_signer,
            can_read_back,
            by_agent: options.by_agent,
            ahead: Permits::new(AHEAD),
            crew: Crew::new(options.threads),
        })
    }

    /// Opens a message; the hash of the `file` it comes from may take turns with its own.
    fn open_message(
        &self,
        input: Box<dyn Read + Send>,
        file: Option<ReadHash>,
    ) -> Result<Box<dyn Read + Send>> {
        let (head, seen, rest) = peek(input)?;
        let mut known = None;
        if let Some(why) = self.beyond_us(&head) {
            let gpg = self.gpg.as_ref().ok_or_else(|| {
                let text = format!("only gpg can open it: {why}");
                Error::new(ErrorKind::Unsupported, text).with_hint(
                    "use the GnuPG keyring instead of certificate files to read this backup",
                )
            })?;
            known = self.asked_of_gpg(gpg, &head, &seen)?;
            if known.is_none() {
                let (secrets, signer) = (&self.secrets, self.signer_for_gpg());
                return Ok(Box::new(gpg::decrypt(gpg, secrets, signer, seen, rest)?));
            }
        }
        Ok(Box::new(MessageReader::open(
            &head,
            (seen, rest),
            known,
            file,
            Arc::clone(&self.secrets),
            self.required_signer.clone(),
            (&self.ahead, &self.crew),
        )?))
    }

    /// What opens a message whose only keys are with the agent; `None` if gpg has to decrypt it itself.
    ///
    /// # Errors
    /// As those of gpg's own decryption.
    fn asked_of_gpg(&self, gpg: &Gpg, head: &Head, seen: &[u8]) -> Result<Option<Unlocked>> {
        // A passphrase of the message itself may look right to gpg and be wrong. Whose signature counts is gpg's to say.
        let is_by_key = !head.recipients.is_empty() && head.passphrases == 0;
        if !is_by_key || head.container != Container::Protected || self.required_signer.is_some() {
            return Ok(None);
        }
        let packets = seen.get(..head.bytes).unwrap_or_default();
        let key = gpg::session_key(gpg, &self.secrets, packets)?;
        Ok(key.and_then(|key| unlocked_by(key, head, seen)))
    }

    /// Whose signature gpg must report.
    fn signer_for_gpg(&self) -> Option<gpg::Signer> {
        let signer = self.required_signer.as_ref()?;
        let keys = signer.cert.keys().map(|key| key.key().fingerprint());
        Some(gpg::Signer {
            name: signer.name.clone(),
            keys: keys.collect(),
        })
    }

    /// Why a message cannot be read in process, if so.
    fn beyond_us(&self, head: &Head) -> Option<&'static str> {
        if head.container == Container::GnuPgAead {
            return Some("it is encrypted in GnuPG's own way");
        }
        if head
            .ciphers
            .iter()
            .any(|cipher| !SymmetricAlgorithm::from(*cipher).is_supported())
        {
            return Some("its cipher is not built in");
        }
        if self.by_agent && head.passphrases > 0 && self.secrets.passphrases().next().is_none() {
            return Some("its passphrase is with the agent");
        }
        // The secret keys of a GnuPG keyring are with the agent.
        let by_key = !head.recipients.is_empty() && !self.secrets.has_keys() && self.gpg.is_some();
        by_key.then_some("its key is with the agent")
    }
}

impl Seal for Sealer {
    fn form(&self) -> Form {
        self.form
    }

    fn seal(&self, form: Form, out: Box<dyn Write + Send>) -> Result<Box<dyn SealWriter>> {
        Ok(match form {
            Form::Plain => Box::new(PlainWriter::new(out)),
            Form::Gzip => Box::new(GzipWriter::new(&self.pool, self.block_bytes, out)?),
            Form::Gpg => {
                let deflate = self
                    .pool
                    .compresses()
                    .then_some((&self.pool, self.block_bytes));
                if let Some(orders) = self.orders.as_ref().filter(|_| self.form == Form::Gpg) {
                    return Ok(Box::new(GpgWriter::start(orders, deflate, out)?));
                }
                let Some(lock) = &self.lock else {
                    return Err(Error::new(
                        ErrorKind::Usage,
                        "an encrypted file is to be written without any key",
                    ));
                };
                Box::new(MessageWriter::start(
                    lock,
                    self.signer.as_ref(),
                    deflate,
                    out,
                )?)
            }
            Form::Cms => match &self.orders {
                Some(orders) if self.form == Form::Cms => {
                    Box::new(GpgWriter::start(orders, None, out)?)
                }
                _ => {
                    let text = "a file for gpgsm is to be written without any certificate";
                    return Err(Error::new(ErrorKind::Usage, text));
                }
            },
        })
    }

    fn unseal(&self, form: Form, input: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
        Ok(match form {
            Form::Plain => input,
            Form::Gzip => Box::new(GzipReader::new(input, self.crew.clone())),
            Form::Gpg => self.open_message(input, None)?,
            Form::Cms => match &self.required_signer {
                // gpgsm does not sign what it encrypts.
                Some(signer) => return Err(not_signed_by(&signer.name, "")),
                None => Box::new(self.cms.open(&self.secrets, input)?),
            },
        })
    }

    fn unseal_hashing(&self, form: Form, file: File) -> Result<(Box<dyn Read + Send>, ReadHash)> {
        let (input, hash) = ReadHash::of(file);
        let input = Box::new(input);
        let content = match form {
            Form::Gpg => self.open_message(input, Some(hash.clone()))?,
            _ => self.unseal(form, input)?,
        };
        Ok((content, hash))
    }

    fn make_ready(&self, form: Form, file: &File) {
        if form != Form::Gpg {
            return;
        }
        let Ok(file) = file.try_clone() else { return };
        let Ok((head, seen, _)) = peek(Box::new(Section::new(Arc::new(file), 0))) else {
            return;
        };
        // A private key opens a message at once.
        let takes_long = head.passphrases > 0 && head.recipients.is_empty();
        if takes_long && self.beyond_us(&head).is_none() {
            key_of(&head, &seen, Arc::clone(&self.secrets));
        }
    }

    fn middle(&self, form: Form, input: File) -> Option<Middle> {
        match form {
            Form::Gzip => Middle::of_gzip(input),
            // A signature is over the whole.
            Form::Gpg if self.required_signer.is_none() => {
                let start = Section::new(Arc::new(input.try_clone().ok()?), 0);
                let (head, seen, _) = peek(Box::new(start)).ok()?;
                match self.beyond_us(&head) {
                    None => Middle::of_message(input, &head, &seen, Arc::clone(&self.secrets)),
                    Some(_) => None,
                }
            }
            _ => None,
        }
    }

    fn can_read_back(&self) -> bool {
        self.can_read_back && !self.secrets.has_met_locked_key()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek;

    fn sealer(passphrase: &str) -> Sealer {
        let encryption = Encryption::Symmetric {
            passphrase: Secret::new(passphrase),
            sign: None,
        };
        let options = SealOptions {
            encryption,
            ..SealOptions::default()
        };
        Sealer::open(&options).expect("sealer")
    }

    #[test]
    fn a_key_is_made_before_its_file_is_opened() {
        let mut file = tempfile::tempfile().expect("file");
        let out = Box::new(file.try_clone().expect("clone"));
        let mut writer = sealer("pw").seal(Form::Gpg, out).expect("writer");
        writer.write_all(b"content").expect("write");
        writer.finish().expect("finish");
        file.rewind().expect("rewind");

        let reader = sealer("pw");
        reader.make_ready(Form::Gzip, &file);
        assert_eq!(reader.secrets.derivations(), 0);
        reader.make_ready(Form::Gpg, &file);
        assert_eq!(reader.secrets.derivations(), 1);
        // It was not read from its place.
        assert_eq!(file.stream_position().expect("position"), 0);
        let mut content = Vec::new();
        let mut input = reader.unseal(Form::Gpg, Box::new(file)).expect("opened");
        input.read_to_end(&mut content).expect("read");
        assert_eq!(content, b"content");
        assert_eq!(reader.secrets.derivations(), 1);
    }

    #[test]
    fn what_cannot_be_made_ready_is_told_when_it_is_opened() {
        let mut file = tempfile::tempfile().expect("file");
        let out = Box::new(file.try_clone().expect("clone"));
        sealer("pw")
            .seal(Form::Gpg, out)
            .and_then(|writer| writer.finish())
            .expect("written");
        file.rewind().expect("rewind");
        let other = sealer("another");
        other.make_ready(Form::Gpg, &file);
        let error = other
            .unseal(Form::Gpg, Box::new(file))
            .err()
            .expect("refused");
        assert_eq!(error.kind(), ErrorKind::WrongKey);
        other.make_ready(Form::Gpg, &tempfile::tempfile().expect("file"));
    }
}
