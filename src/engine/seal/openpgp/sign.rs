//! Signs the content of a message: the one-pass packet before it, the signature after it.

use super::checked;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::seal::gpg::{DetachedSigner, Gpg};
use crate::engine::secret::Secret;
use sequoia_openpgp::crypto::{KeyPair, hash::Context};
use sequoia_openpgp::packet::one_pass_sig::OnePassSig3;
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::packet::{Key, key};
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::serialize::Serialize;
use sequoia_openpgp::types::{HashAlgorithm, SignatureType};
use sequoia_openpgp::{KeyID, Packet};
use std::io::{self, Write};

/// Fast where processors help, and read by every gpg.
const HASH: HashAlgorithm = HashAlgorithm::SHA256;

/// Where the secret part of the signing key is.
#[derive(Clone)]
pub(in crate::engine::seal) enum SecretPart {
    /// Here, unlocked.
    Here(Box<KeyPair>),
    /// With the user's gpg, which signs for us.
    GnuPg {
        gpg: Gpg,
        passphrase: Option<Secret>,
    },
}

/// A key that signs messages.
#[derive(Clone)]
pub(in crate::engine::seal) struct SigningKey {
    pub public: Key<key::PublicParts, key::UnspecifiedRole>,
    pub secret: SecretPart,
}

/// A signature in the making.
pub(super) struct Signing {
    maker: Maker,
    issuer: KeyID,
}

enum Maker {
    Here { pair: Box<KeyPair>, hash: Context },
    GnuPg(DetachedSigner),
}

impl Signing {
    /// Starts a signature; nothing is hashed yet.
    pub(super) fn start(key: &SigningKey) -> Result<Self> {
        let maker = match &key.secret {
            SecretPart::Here(pair) => {
                let hash = checked(HASH.context(), ErrorKind::Unsupported)?
                    .for_signature(key.public.version());
                Maker::Here {
                    pair: pair.clone(),
                    hash,
                }
            }
            SecretPart::GnuPg { gpg, passphrase } => Maker::GnuPg(DetachedSigner::start(
                gpg,
                &key.public.fingerprint().to_hex(),
                &HASH.to_string(),
                passphrase.as_ref(),
            )?),
        };
        Ok(Self {
            maker,
            issuer: key.public.keyid(),
        })
    }

    /// The packet that announces the signature.
    pub(super) fn one_pass(key: &SigningKey) -> Result<Vec<u8>> {
        let mut packet = OnePassSig3::new(SignatureType::Binary);
        packet.set_pk_algo(key.public.pk_algo());
        packet.set_hash_algo(HASH);
        packet.set_issuer(key.public.keyid());
        packet.set_last(true);
        serialized(&packet.into())
    }

    /// Covers more content.
    pub(super) fn update(&mut self, data: &[u8]) -> io::Result<()> {
        match &mut self.maker {
            Maker::Here { hash, .. } => hash.update(data),
            Maker::GnuPg(signer) => signer.write_all(data)?,
        }
        Ok(())
    }

    /// Signs what was covered; gives the signature packet.
    pub(super) fn finish(self) -> Result<Vec<u8>> {
        let signature = match self.maker {
            Maker::Here { mut pair, hash } => {
                let builder = SignatureBuilder::new(SignatureType::Binary);
                checked(builder.sign_hash(pair.as_mut(), hash), ErrorKind::Internal)?
            }
            Maker::GnuPg(signer) => {
                let bytes = signer.finish()?;
                let packet = checked(Packet::from_bytes(&bytes), ErrorKind::Internal)?;
                let Packet::Signature(signature) = packet else {
                    return Err(Error::new(ErrorKind::Internal, "gpg made no signature"));
                };
                // The announcement is already written: a signature it does not describe would verify nowhere.
                let by = signature
                    .get_issuers()
                    .iter()
                    .any(|handle| KeyID::from(handle) == self.issuer);
                if !by || signature.hash_algo() != HASH || signature.typ() != SignatureType::Binary
                {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "gpg signed with another key or hash than asked",
                    ));
                }
                signature
            }
        };
        serialized(&signature.into())
    }
}

/// The packet as it is written.
pub(super) fn serialized(packet: &Packet) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    checked(packet.serialize(&mut bytes), ErrorKind::Internal)?;
    Ok(bytes)
}
