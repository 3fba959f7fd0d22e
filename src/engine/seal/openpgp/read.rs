//! Reads encrypted messages in process.
//!
//! The usual container is opened by our own reader, and so is what usually is inside. Other packets inside, and any
//! if a signature is required, are read by the library; and so is a whole message whose container our reader does not
//! know (another cipher than AES, AEAD, session key packets of later versions).
//!
//! The last stretch of content is held back until everything after it was read and checked, so a reader that gets to
//! the end without an error has read exactly what was encrypted. Who stops earlier knows nothing.

use super::container::{self, ContainerReader};
use super::head::{Head, whole};
use super::inside;
use super::unlock::Secrets;
use super::{POLICY, checked};
use crate::engine::ahead::{Permits, fill, read_ahead};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::seal::hash::ReadHash;
use crate::engine::seal::inflate::Crew;
use sequoia_openpgp as openpgp;
use sequoia_openpgp::cert::Cert;
use sequoia_openpgp::crypto::{S2K, SessionKey};
use sequoia_openpgp::packet::{PKESK, Packet, SKESK};
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::parse::stream::{
    DecryptionHelper, DecryptorBuilder, MessageLayer, MessageStructure, VerificationHelper,
    VerifierBuilder,
};
use sequoia_openpgp::types::SymmetricAlgorithm;
use sequoia_openpgp::{Fingerprint, KeyHandle, PacketPile};
use std::io::{self, Read};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Content the library holds back, and as much again it reads ahead.
const LIBRARY_BYTES: usize = 512 * 1024;

/// Whose signature a message must carry.
#[derive(Clone)]
pub(in crate::engine::seal) struct RequiredSigner {
    /// How the user named it.
    pub name: String,
    /// The certificate with that name.
    pub cert: Cert,
}

/// Reads one message. See the module for what an end without error means.
pub(in crate::engine::seal) struct MessageReader {
    content: Box<dyn Read + Send>,
    trouble: Trouble,
    failed: bool,
    /// What is proven once all was read.
    proof: Option<(Arc<Secrets>, PassphraseProof)>,
}

/// The number of a passphrase, and the derivation that made a message's key of it.
type PassphraseProof = (usize, S2K);

/// What opens a message.
pub(in crate::engine::seal) struct Unlocked {
    key: (SymmetricAlgorithm, SessionKey),
    decryptor: container::Decryptor,
    /// Which passphrase the key was made of, if so.
    passphrase: Option<PassphraseProof>,
}

/// The first error that is not the library's. It takes any error below it for damage, and would hide an outage.
type Trouble = Arc<Mutex<Option<Error>>>;

/// The container of a message whose packets the library reads.
type Container = Arc<Mutex<Box<dyn Read + Send>>>;

impl MessageReader {
    /// Opens the message that consists of `seen`, which begins with `head`, and of `rest`. With a permit of `ahead` it is
    /// decrypted on a thread of its own; the crew inflates it. The hash of the `file` it comes from takes turns with its own. Its
    /// key may be known already.
    pub(in crate::engine::seal) fn open(
        head: &Head,
        (mut seen, rest): (Vec<u8>, Box<dyn Read + Send>),
        known: Option<Unlocked>,
        file: Option<ReadHash>,
        secrets: Arc<Secrets>,
        signer: Option<RequiredSigner>,
        (ahead, crew): (&Permits, &Crew),
    ) -> Result<Self> {
        let trouble = Trouble::default();
        let mut proof = None;
        let helper = Helper {
            secrets: Arc::clone(&secrets),
            signer,
            trouble: Arc::clone(&trouble),
            container: None,
        };
        let unlocked = match known {
            Some(known) => Some(known),
            None => survive(|| helper.unlock(head, &seen))?,
        };
        let content = match unlocked {
            Some(Unlocked {
                decryptor,
                passphrase,
                ..
            }) => {
                proof = passphrase.map(|passphrase| (secrets, passphrase));
                seen.drain(..head.bytes);
                let container = ContainerReader::open(whole(seen, rest), decryptor, file)?;
                let container = read_ahead(Box::new(container), ahead);
                survive(|| packets_of(container, helper, crew))
            }
            None => survive(|| packets_in(whole(seen, rest), helper)),
        };
        match content {
            Ok(content) => Ok(Self {
                content,
                trouble,
                failed: false,
                proof,
            }),
            Err(error) => Err(cause(&trouble, error)),
        }
    }
}

/// The key of the message that begins with `seen`; `None` if only the library reads it, or nothing here opens it.
pub(in crate::engine::seal) fn key_of(
    head: &Head,
    seen: &[u8],
    secrets: Arc<Secrets>,
) -> Option<(SymmetricAlgorithm, SessionKey)> {
    let helper = Helper {
        secrets,
        signer: None,
        trouble: Trouble::default(),
        container: None,
    };
    let unlocked = survive(|| helper.unlock(head, seen)).ok()??;
    Some(unlocked.key)
}

/// A session key at work, if it fits.
fn fitting(
    cipher: SymmetricAlgorithm,
    key: &SessionKey,
    first: [u8; container::PREFIX_BYTES],
) -> Option<container::Decryptor> {
    let fits = container::Decryptor::new(cipher, key)?.fits(first);
    fits.then(|| container::Decryptor::new(cipher, key))?
}

/// The message that begins with `seen` as a key opens it that somebody else has found; `None` if that does not fit, or if the
/// container is not one of ours.
pub(in crate::engine::seal) fn unlocked_by(
    (cipher, key): (SymmetricAlgorithm, SessionKey),
    head: &Head,
    seen: &[u8],
) -> Option<Unlocked> {
    let first = container::first_octets(seen.get(head.bytes..)?)?;
    let is_ours = container::Decryptor::is_ours(cipher);
    let decryptor = is_ours.then(|| fitting(cipher, &key, first))??;
    Some(Unlocked {
        key: (cipher, key),
        decryptor,
        passphrase: None,
    })
}

/// Reads the packets inside a container, or has the library read them.
fn packets_of(
    mut container: Box<dyn Read + Send>,
    mut helper: Helper,
    crew: &Crew,
) -> Result<Box<dyn Read + Send>> {
    let mut start = vec![0; inside::SEEN_BYTES];
    let (filled, outcome) = fill(&mut container, &mut start);
    if let Err(error) = outcome {
        let told = Error::new(ErrorKind::Corrupt, "the input failed");
        locked(&helper.trouble).get_or_insert(Error::from(error));
        return Err(told);
    }
    start.truncate(filled);
    let is_simple = helper.signer.is_none() && inside::is_simple(&start);
    let container: Container = Arc::new(Mutex::new(whole(start, container)));
    helper.container = Some(Arc::clone(&container));
    let input = Input {
        inner: container,
        trouble: Arc::clone(&helper.trouble),
    };
    if is_simple {
        return Ok(Box::new(inside::open(Box::new(input), crew.clone())?));
    }
    let builder = checked(VerifierBuilder::from_reader(input), ErrorKind::Corrupt)?
        .buffer_size(LIBRARY_BYTES);
    Ok(Box::new(checked(
        builder.with_policy(&*POLICY, None, helper),
        ErrorKind::Corrupt,
    )?))
}

/// Has the library read a whole message.
fn packets_in(message: Box<dyn Read + Send>, helper: Helper) -> Result<Box<dyn Read + Send>> {
    let input = Input {
        inner: Arc::new(Mutex::new(message)),
        trouble: Arc::clone(&helper.trouble),
    };
    let builder = checked(DecryptorBuilder::from_reader(input), ErrorKind::Corrupt)?
        .buffer_size(LIBRARY_BYTES);
    Ok(Box::new(checked(
        builder.with_policy(&*POLICY, None, helper),
        ErrorKind::Corrupt,
    )?))
}

impl Read for MessageReader {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(Error::new(ErrorKind::Corrupt, "reading goes on after an error").into());
        }
        let read = survive(|| Ok(self.content.read(data)?)).map_err(|error| {
            // The library keeps no state that could be asked again.
            self.failed = true;
            cause(&self.trouble, error)
        })?;
        if read == 0
            && !data.is_empty()
            && let Some((secrets, (number, s2k))) = self.proof.take()
        {
            secrets.was_proven(number, &s2k);
        }
        Ok(read)
    }
}

/// Runs the library on outside data. It takes some things for granted that such data need not keep, and panics.
fn survive<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
        let message = "damaged OpenPGP message, which broke the decoder";
        Err(Error::new(ErrorKind::Corrupt, message))
    })
}

/// What really went wrong: the error of the input or of the signer check, if there was one.
fn cause(trouble: &Trouble, error: Error) -> Error {
    let own = locked(trouble).take();
    own.unwrap_or_else(|| match error.kind() {
        // The library's decoders have no kinds of their own.
        ErrorKind::Io => {
            Error::new(ErrorKind::Corrupt, "damaged OpenPGP message").with_source(error)
        }
        _ => error,
    })
}

/// An input the library accepts: it asks for `Sync`, though it never shares it.
struct Input<R> {
    inner: Arc<Mutex<R>>,
    trouble: Trouble,
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        match locked(&self.inner).read(data) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                let told = io::Error::new(error.kind(), "the input failed");
                locked(&self.trouble).get_or_insert(Error::from(error));
                Err(told)
            }
            read => read,
        }
    }
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Finds the session key, and answers the library's questions about keys.
struct Helper {
    secrets: Arc<Secrets>,
    signer: Option<RequiredSigner>,
    trouble: Trouble,
    /// Set if the library sees only the packets inside the container.
    container: Option<Container>,
}

/// Tries a session key; true if it fits.
type Try<'a> = dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool + 'a;

impl Helper {
    /// What opens a message; `None` if it is left to the library.
    fn unlock(&self, head: &Head, seen: &[u8]) -> Result<Option<Unlocked>> {
        let Some((keys, container)) = seen.split_at_checked(head.bytes) else {
            return Ok(None);
        };
        let Some(first) = container::first_octets(container) else {
            return Ok(None);
        };
        let Ok(packets) = PacketPile::from_bytes(keys) else {
            return Ok(None);
        };
        let (mut pkesks, mut skesks) = (Vec::new(), Vec::new());
        for packet in packets.into_children() {
            match packet {
                Packet::PKESK(packet @ PKESK::V3(_)) => pkesks.push(packet),
                Packet::SKESK(packet @ SKESK::V4(_)) => skesks.push(packet),
                Packet::Marker(_) => {}
                _ => return Ok(None),
            }
        }
        let mut found = None;
        let passphrase = self.find_key(&pkesks, &skesks, None, &mut |cipher, key| {
            let Some(cipher) = cipher.filter(|cipher| container::Decryptor::is_ours(*cipher))
            else {
                // May be right: the library can tell.
                return true;
            };
            let decryptor = fitting(cipher, key, first);
            found = decryptor.map(|decryptor| ((cipher, key.clone()), decryptor));
            found.is_some()
        })?;
        Ok(found.map(|(key, decryptor)| Unlocked {
            key,
            decryptor,
            passphrase,
        }))
    }

    /// Tries all keys and passphrases until one fits. Returns the passphrase if its derivation is the session key.
    fn find_key(
        &self,
        pkesks: &[PKESK],
        skesks: &[SKESK],
        cipher: Option<SymmetricAlgorithm>,
        fits: &mut Try,
    ) -> Result<Option<PassphraseProof>> {
        if pkesks
            .iter()
            .any(|packet| self.try_keys(packet, cipher, fits))
        {
            return Ok(None);
        }
        for (number, passphrase) in self.secrets.passphrases() {
            for packet in skesks {
                if self.try_passphrase(packet, number, passphrase.expose(), fits)? {
                    self.secrets.was_good(number);
                    return Ok(derivation(packet).map(|s2k| (number, s2k)));
                }
            }
        }
        Err(no_key(pkesks, skesks))
    }

    fn try_keys(&self, packet: &PKESK, cipher: Option<SymmetricAlgorithm>, fits: &mut Try) -> bool {
        let recipient = packet.recipient();
        self.secrets
            .keys_of(recipient.as_ref())
            .filter_map(|key| self.secrets.unlock(key))
            .any(|mut pair| {
                packet
                    .decrypt(&mut pair, cipher)
                    .is_some_and(|(cipher, session_key)| fits(cipher, &session_key))
            })
    }

    fn try_passphrase(
        &self,
        packet: &SKESK,
        number: usize,
        passphrase: &[u8],
        fits: &mut Try,
    ) -> Result<bool> {
        let plain = match packet {
            SKESK::V4(packet) => checked(packet.esk(), ErrorKind::Unsupported)?
                .is_none()
                .then_some(packet),
            _ => None,
        };
        if let Some(packet) = plain {
            let key = self
                .secrets
                .derive(number, packet.s2k(), packet.symmetric_algo())?;
            return Ok(fits(Some(packet.symmetric_algo()), &key));
        }
        Ok(match packet.decrypt(&passphrase.into()) {
            Ok((cipher, session_key)) => fits(cipher, &session_key),
            Err(_) => false,
        })
    }
}

impl DecryptionHelper for Helper {
    fn decrypt(
        &mut self,
        pkesks: &[PKESK],
        skesks: &[SKESK],
        cipher: Option<SymmetricAlgorithm>,
        fits: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> openpgp::Result<Option<Cert>> {
        self.find_key(pkesks, skesks, cipher, fits)?;
        Ok(None)
    }
}

/// How a passphrase becomes the session key, if no other key is between them.
fn derivation(packet: &SKESK) -> Option<S2K> {
    match packet {
        SKESK::V4(packet) if packet.esk().is_ok_and(|key| key.is_none()) => {
            Some(packet.s2k().clone())
        }
        _ => None,
    }
}

fn no_key(pkesks: &[PKESK], skesks: &[SKESK]) -> Error {
    if pkesks.is_empty() && !skesks.is_empty() {
        return Error::new(ErrorKind::WrongKey, "the passphrase does not open it")
            .with_hint("give the passphrase it was encrypted with");
    }
    let names: Vec<String> = pkesks
        .iter()
        .map(|packet| {
            packet
                .recipient()
                .map_or("a hidden recipient".into(), |handle| format!("{handle:X}"))
        })
        .collect();
    Error::new(
        ErrorKind::WrongKey,
        format!("no usable secret key for {}", names.join(", ")),
    )
    .with_hint("the secret key of one recipient and its passphrase are needed")
}

impl VerificationHelper for Helper {
    fn get_certs(&mut self, _: &[KeyHandle]) -> openpgp::Result<Vec<Cert>> {
        Ok(self
            .signer
            .iter()
            .map(|signer| signer.cert.clone())
            .collect())
    }

    /// Called when the whole message was read, before the content held back is given out.
    fn check(&mut self, structure: MessageStructure) -> openpgp::Result<()> {
        if let Some(container) = &self.container {
            // Its end only comes if it is whole.
            io::copy(&mut *locked(container), &mut io::sink()).map_err(|error| {
                let told = error.to_string();
                locked(&self.trouble).get_or_insert(Error::from(error));
                openpgp::Error::MalformedMessage(told)
            })?;
        }
        let Some(signer) = &self.signer else {
            return Ok(());
        };
        let mut others: Vec<String> = Vec::new();
        for layer in structure {
            let MessageLayer::SignatureGroup { results } = layer else {
                continue;
            };
            for result in results {
                match result {
                    Ok(good) if good.ka.cert().fingerprint() == signer.cert.fingerprint() => {
                        return Ok(());
                    }
                    Ok(good) => others.push(good.ka.key().fingerprint().to_string()),
                    Err(error) => others.push(error.to_string()),
                }
            }
        }
        let error = not_signed_by(&signer.name, &others.join("; "));
        let told = error.to_string();
        *locked(&self.trouble) = Some(error);
        Err(openpgp::Error::BadSignature(told).into())
    }
}

/// The error for a message without a good signature of the required signer.
pub(in crate::engine::seal) fn not_signed_by(signer: &str, found: &str) -> Error {
    let message = match found {
        "" => format!("not signed, though a signature of {signer} is required"),
        found => format!("no good signature of {signer}: {found}"),
    };
    Error::new(ErrorKind::Corrupt, message)
        .with_hint("do not trust this backup until you know who made it")
}

/// Whether two fingerprints or key IDs may mean the same key.
pub(in crate::engine::seal) fn same_key(fingerprint: &Fingerprint, hex: &str) -> bool {
    hex.parse::<KeyHandle>()
        .is_ok_and(|handle| handle.aliases(KeyHandle::from(fingerprint)))
}

#[cfg(test)]
mod tests;
