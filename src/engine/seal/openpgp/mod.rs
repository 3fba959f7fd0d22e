//! OpenPGP messages, written and read in process.
//!
//! Written are only packets that every gpg from 1.4 on reads: version 3 and 4 session key packets and encrypted data
//! with a modification detection code. docs/format.md, "Encryption", lists what duplicity's gpg writes; RFC 4880
//! describes the packets.

mod container;
mod derive;
mod framing;
pub(super) mod head;
mod inside;
mod late;
pub(super) mod middle;
mod packet;
pub(super) mod read;
pub(super) mod sign;
pub(super) mod unlock;
pub(super) mod write;

use crate::engine::error::{Error, ErrorKind, Result};
use sequoia_openpgp as openpgp;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::types::{HashAlgorithm, SymmetricAlgorithm};
use std::io;
use std::sync::LazyLock;

/// What keys and messages must satisfy.
///
/// Backups outlive fashions in cryptography: certificates bound by SHA-1 signatures and the ciphers gpg 1 chose by
/// default are accepted, as gpg 2.2 does. Encrypted data without integrity protection is not.
pub(super) static POLICY: LazyLock<StandardPolicy<'static>> = LazyLock::new(|| {
    let mut policy = StandardPolicy::new();
    policy.accept_hash(HashAlgorithm::SHA1);
    #[allow(deprecated)]
    for cipher in [
        SymmetricAlgorithm::CAST5,
        SymmetricAlgorithm::TripleDES,
        SymmetricAlgorithm::Blowfish,
    ] {
        policy.accept_symmetric_algo(cipher);
    }
    policy
});

/// Turns the library's error into the engine's. `otherwise` is the kind of what the library does not classify.
pub(super) fn checked<T>(result: openpgp::Result<T>, otherwise: ErrorKind) -> Result<T> {
    result.map_err(|error| {
        let error = match error.downcast::<Error>() {
            Ok(own) => return own,
            Err(error) => error,
        };
        match error.downcast::<io::Error>() {
            Ok(io) => Error::from(io),
            Err(error) => {
                let kind = error
                    .downcast_ref()
                    .map_or(otherwise, |pgp| kind_of(pgp, otherwise));
                Error::new(kind, format!("{error:#}"))
            }
        }
    })
}

fn kind_of(error: &openpgp::Error, otherwise: ErrorKind) -> ErrorKind {
    use openpgp::Error as Pgp;
    match error {
        // Packet types the policy refuses are garbage within a message.
        Pgp::ManipulatedMessage
        | Pgp::MalformedMessage(_)
        | Pgp::MalformedPacket(_)
        | Pgp::MalformedMPI(_)
        | Pgp::BadSignature(_)
        | Pgp::PolicyViolation(..) => ErrorKind::Corrupt,
        Pgp::MissingSessionKey(_) | Pgp::InvalidPassword | Pgp::InvalidSessionKey(_) => {
            ErrorKind::WrongKey
        }
        Pgp::UnsupportedPacketType(_)
        | Pgp::UnsupportedHashAlgorithm(_)
        | Pgp::UnsupportedPublicKeyAlgorithm(_)
        | Pgp::UnsupportedEllipticCurve(_)
        | Pgp::UnsupportedSymmetricAlgorithm(_)
        | Pgp::UnsupportedAEADAlgorithm(_)
        | Pgp::UnsupportedCompressionAlgorithm(_) => ErrorKind::Unsupported,
        _ => otherwise,
    }
}
