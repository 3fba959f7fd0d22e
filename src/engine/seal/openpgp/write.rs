//! Writes encrypted messages, with the compression on many threads.
//!
//! From top to bottom: signature and literal packet, deflate, encryption, output. Each layer streams; what is held
//! back does not depend on time, so neither do the estimates.

use super::framing::PacketFraming;
use super::late::{ComingKey, LateContainer};
use super::sign::{Signing, SigningKey, serialized};
use super::{checked, unlock::PassphraseKey};
use crate::engine::error::{ErrorKind, Result};
use crate::engine::seal::SealWriter;
use crate::engine::seal::deflate::{DeflateWriter, Pool};
use crate::engine::seal::hash::{HashingWriter, Written};
use sequoia_openpgp::Packet;
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::packet::{Key, PKESK, SKESK, key, pkesk::PKESK3, skesk::SKESK4};
use sequoia_openpgp::types::SymmetricAlgorithm;
use std::io::{self, Write};

/// What gpg has used since 2.1 and can read since 1.0.
pub(super) const CIPHER: SymmetricAlgorithm = SymmetricAlgorithm::AES256;

/// Old-format header of packet 8, lasting to the end of the message, and the octet for ZIP: raw deflate data.
const COMPRESSED_ZIP: [u8; 2] = [0x80 | (8 << 2) | 3, 1];

/// Encryption's own bytes: prefix, headers and the modification detection code.
const CONTAINER_BYTES: u64 = 60;

/// Room for a signature by a 4096 bit RSA key and its announcement.
const SIGNATURE_BYTES: u64 = 620;

/// A key messages are encrypted to.
#[derive(Clone)]
pub(in crate::engine::seal) struct Recipient {
    pub key: Key<key::PublicParts, key::UnspecifiedRole>,
    /// Leaves the key's ID out of the message.
    pub hidden: bool,
}

/// Who can open new messages.
pub(in crate::engine::seal) enum Lock {
    Passphrase(PassphraseKey),
    Recipients(Vec<Recipient>),
}

/// Writes one message.
pub(in crate::engine::seal) struct MessageWriter {
    body: Body,
    literal: PacketFraming,
    signing: Option<Signing>,
    /// Bytes besides the body's.
    overhead: u64,
}

type Container = LateContainer<Box<dyn Write + Send>>;

enum Body {
    Deflated(DeflateWriter<Container>),
    Plain { container: Container, bytes: u64 },
}

impl MessageWriter {
    /// Starts a message on `out`; with a pool it is compressed in blocks of so many bytes.
    pub(in crate::engine::seal) fn start(
        lock: &Lock,
        signer: Option<&SigningKey>,
        deflate: Option<(&Pool, usize)>,
        out: Box<dyn Write + Send>,
    ) -> Result<Self> {
        let mut out = HashingWriter::new(out);
        let (session_key, keys) = lock.session_key()?;
        let mut overhead = CONTAINER_BYTES;
        for packet in keys {
            let bytes = serialized(&packet)?;
            overhead += bytes.len() as u64;
            out.write_all(&bytes)?;
        }
        let mut container = LateContainer::start(session_key, out);
        let mut body = match deflate {
            Some((pool, block_bytes)) => {
                container.write_all(&COMPRESSED_ZIP)?;
                Body::Deflated(DeflateWriter::new(pool, block_bytes, container)?)
            }
            None => Body::Plain {
                container,
                bytes: 0,
            },
        };
        let mut signing = None;
        if let Some(key) = signer {
            overhead += SIGNATURE_BYTES;
            body.write_all(&Signing::one_pass(key)?)?;
            signing = Some(Signing::start(key)?);
        }
        Ok(Self {
            body,
            literal: PacketFraming::literal(),
            signing,
            overhead,
        })
    }
}

impl Lock {
    /// A session key for one message, and the packets that tell it to those who may open it.
    fn session_key(&self) -> Result<(ComingKey, Vec<Packet>)> {
        match self {
            // As gpg does it: the key derived from the passphrase is the session key. Each message has its own
            // random prefix, which is what makes one key safe for many messages in this mode. A random session key
            // wrapped by the derived key would not be better but worse: the wrapping has no prefix, so that two
            // messages under one salt tell the difference of their session keys.
            Lock::Passphrase(passphrase) => {
                let (s2k, key) = passphrase.derived()?;
                let packet = checked(SKESK4::new(CIPHER, s2k, None), ErrorKind::Internal)?;
                Ok((key, vec![Packet::SKESK(SKESK::from(packet))]))
            }
            Lock::Recipients(recipients) => {
                let size = checked(CIPHER.key_size(), ErrorKind::Internal)?;
                let session_key = checked(SessionKey::new(size), ErrorKind::Internal)?;
                let mut packets = Vec::new();
                for Recipient { key, hidden } in recipients {
                    let mut packet = checked(
                        PKESK3::for_recipient(CIPHER, &session_key, key),
                        ErrorKind::Unsupported,
                    )
                    .map_err(|e| e.within(format!("cannot encrypt to {}", key.fingerprint())))?;
                    packet.set_recipient((!hidden).then(|| key.keyid()));
                    packets.push(Packet::PKESK(PKESK::from(packet)));
                }
                Ok((ComingKey::Here(session_key), packets))
            }
        }
    }
}

impl Write for MessageWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if let Some(signing) = &mut self.signing {
            signing.update(data)?;
        }
        self.literal.write(data, |part| self.body.write_all(part))?;
        Ok(data.len())
    }

    /// Does nothing: a flush in the middle would make the output depend on when it came.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SealWriter for MessageWriter {
    fn estimated_bytes(&self) -> u64 {
        self.overhead + self.literal.pending_bytes() + self.body.estimated_bytes()
    }

    fn finish(self: Box<Self>) -> Result<Written> {
        let Self {
            mut body,
            literal,
            signing,
            ..
        } = *self;
        literal.finish(&mut body)?;
        if let Some(signing) = signing {
            body.write_all(&signing.finish()?)?;
        }
        let container = match body {
            Body::Deflated(deflate) => deflate.finish()?.0,
            Body::Plain { container, .. } => container,
        };
        Ok(container.finish()?.finish()?)
    }
}

impl Body {
    fn estimated_bytes(&self) -> u64 {
        match self {
            Body::Deflated(deflate) => deflate.estimated_bytes(),
            Body::Plain { bytes, .. } => *bytes,
        }
    }
}

impl Write for Body {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Body::Deflated(deflate) => deflate.write(data),
            Body::Plain { container, bytes } => {
                let n = container.write(data)?;
                *bytes += n as u64;
                Ok(n)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
