//! OpenPGP messages, written and read in process.
//!
//! Written are only packets that every gpg from 1.4 on reads: version 3 and 4 session key packets and encrypted data
//! with a modification detection code. docs/format.md, "Encryption", lists what duplicity's gpg writes; RFC 4880
//! describes the packets.

mod framing;
pub(super) mod head;
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
    use openpgp::Error as Pgp;
    result.map_err(|error| {
        let error = match error.downcast::<Error>() {
            Ok(own) => return own,
            Err(error) => error,
        };
        let error = match error.downcast::<io::Error>() {
            Ok(io) => return reading(io),
            Err(error) => error,
        };
        let kind = match error.downcast_ref::<Pgp>() {
            Some(Pgp::ManipulatedMessage) => {
                return Error::new(
                    ErrorKind::Corrupt,
                    "the encrypted data was changed after it was written",
                );
            }
            Some(
                Pgp::MalformedMessage(_)
                | Pgp::MalformedPacket(_)
                | Pgp::MalformedMPI(_)
                | Pgp::BadSignature(_),
            ) => ErrorKind::Corrupt,
            Some(Pgp::MissingSessionKey(_) | Pgp::InvalidPassword | Pgp::InvalidSessionKey(_)) => {
                ErrorKind::WrongKey
            }
            Some(
                Pgp::UnsupportedPacketType(_)
                | Pgp::UnsupportedHashAlgorithm(_)
                | Pgp::UnsupportedPublicKeyAlgorithm(_)
                | Pgp::UnsupportedEllipticCurve(_)
                | Pgp::UnsupportedSymmetricAlgorithm(_)
                | Pgp::UnsupportedAEADAlgorithm(_)
                | Pgp::UnsupportedCompressionAlgorithm(_)
                | Pgp::PolicyViolation(..),
            ) => ErrorKind::Unsupported,
            _ => otherwise,
        };
        Error::new(kind, format!("{error:#}"))
    })
}

/// Classifies an error met while reading a message: the engine's own and the system's keep their kind, all others
/// come from a decoder and mean damaged data.
pub(super) fn reading(error: io::Error) -> Error {
    let own = error.get_ref().is_some_and(|inner| inner.is::<Error>());
    if own || error.raw_os_error().is_some() {
        return Error::from(error);
    }
    Error::new(ErrorKind::Corrupt, "damaged OpenPGP message").with_source(error)
}
