//! The key a passphrase gives, by the derivations that hash. Source: RFC 9580, section 3.7.1.
//!
//! The whole program waits for it, so salt and passphrase go to the hash in pieces of thousands of bytes; the library's are of
//! a few hundred, which takes a fifth longer, and three times as long with SHA-1, as it looks for collisions there. Where a
//! key is longer than a hash that OpenSSL makes for it, as with MD5, what the library derives is wrong.

use super::checked;
use crate::engine::error::{Error, ErrorKind, Result};
use sequoia_openpgp::crypto::mem::Protected;
use sequoia_openpgp::crypto::{Password, S2K, SessionKey};
use sequoia_openpgp::types::HashAlgorithm;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::thread;

/// Salt and passphrase are hashed so often at once: that many are whole blocks of any hash, whatever their length.
const AT_ONCE: usize = 128;

/// A key of `size` bytes.
///
/// # Errors
/// `Unsupported` for a derivation or hash nobody here knows.
#[allow(deprecated, reason = "old messages have old derivations")]
pub(super) fn key(s2k: &S2K, passphrase: &[u8], size: usize) -> Result<SessionKey> {
    let (hash, salt, bytes): (_, &[u8], _) = match s2k {
        S2K::Simple { hash } => (*hash, &[], 0),
        S2K::Salted { hash, salt } => (*hash, salt, 0),
        S2K::Iterated {
            hash,
            salt,
            hash_bytes,
        } => (*hash, salt, *hash_bytes as usize),
        other => {
            let key = other.derive_key(&Password::from(passphrase), size);
            return checked(key, ErrorKind::Unsupported);
        }
    };
    let once = salt.len() + passphrase.len();
    let mut many = Protected::new(once * AT_ONCE);
    for place in many.chunks_exact_mut(once.max(1)) {
        let (front, back) = place.split_at_mut(salt.len());
        front.copy_from_slice(salt);
        back.copy_from_slice(passphrase);
    }
    let hash_bytes = checked(hash.digest_size(), ErrorKind::Unsupported)?;
    let part = |zeros: usize| hashed(hash, &vec![0; zeros], &many, bytes.max(once));
    // gpg's usual SHA-1 is shorter than a key of AES-256, so it is made twice: side by side.
    let mut key = thread::scope(|scope| {
        let others = (1..size.div_ceil(hash_bytes)).map(|zeros| {
            let thread = thread::Builder::new().name("dupr-key".into());
            (zeros, thread.spawn_scoped(scope, move || part(zeros)))
        });
        let others: Vec<_> = others.collect();
        let mut key = part(0)?;
        for (zeros, thread) in others {
            let made = thread.ok().and_then(|thread| thread.join().ok());
            key.extend(made.unwrap_or_else(|| part(zeros))?);
        }
        Ok::<_, Error>(key)
    })?;
    key.truncate(size);
    Ok(key.into())
}

/// Hashes what stands before, and then so many `bytes` of `many` over and over.
fn hashed(algorithm: HashAlgorithm, before: &[u8], many: &[u8], bytes: usize) -> Result<Vec<u8>> {
    let feed = |update: &mut dyn FnMut(&[u8])| {
        update(before);
        let mut left = bytes;
        while left > 0 {
            let piece = many.get(..left).unwrap_or(many);
            update(piece);
            left -= piece.len();
        }
    };
    match algorithm {
        HashAlgorithm::SHA1 => {
            let mut hash = Sha1::new();
            feed(&mut |piece| hash.update(piece));
            Ok(hash.finalize().to_vec())
        }
        HashAlgorithm::SHA256 => {
            let mut hash = Sha256::new();
            feed(&mut |piece| hash.update(piece));
            Ok(hash.finalize().to_vec())
        }
        other => {
            let unknown = ErrorKind::Unsupported;
            let mut hash = checked(other.context(), unknown)?.for_digest();
            feed(&mut |piece| hash.update(piece));
            checked(hash.into_digest(), unknown)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_derived_alike(s2k: &S2K, passphrase: &[u8], size: usize) -> Result<(), TestCaseError> {
        let wanted = s2k.derive_key(&Password::from(passphrase), size);
        let got = key(s2k, passphrase, size);
        prop_assert_eq!(
            got.expect("derived").to_vec(),
            wanted.expect("derived").to_vec()
        );
        Ok(())
    }

    proptest! {
        // Of what the library derives well: SHA-1 at any length, others up to that of the hash.
        #[test]
        #[allow(deprecated, reason = "old messages have old derivations")]
        fn the_key_is_the_one_the_library_derives(
            salt: [u8; 8],
            passphrase in proptest::collection::vec(any::<u8>(), 0..200),
            hash_bytes in 0u32..60_000,
            (hash, size) in prop_oneof![
                (Just(HashAlgorithm::SHA1), 0usize..70),
                (Just(HashAlgorithm::SHA256), 0usize..=32),
                (Just(HashAlgorithm::SHA512), 0usize..=64),
                (Just(HashAlgorithm::MD5), 0usize..=16),
            ],
        ) {
            is_derived_alike(&S2K::Iterated { hash, salt, hash_bytes }, &passphrase, size)?;
            is_derived_alike(&S2K::Salted { hash, salt }, &passphrase, size)?;
            is_derived_alike(&S2K::Simple { hash }, &passphrase, size)?;
        }
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        let s2k = S2K::Iterated {
            hash: HashAlgorithm::Unknown(99),
            salt: [0; 8],
            hash_bytes: 1024,
        };
        let error = key(&s2k, b"x", 32).expect_err("unknown");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
