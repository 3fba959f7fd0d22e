//! Secrets at work: keys derived from passphrases, and secret keys unlocked by them.
//!
//! Deriving a key from a passphrase is made slow on purpose (30 to 80 ms), so it is done once per salt. New messages
//! take the salt of a message that was opened before with the same passphrase, so that the sets of a chain share one;
//! docs/decisions.md, "One salt for a chain", tells why that is safe.

use super::late::ComingKey;
use super::write::CIPHER;
use super::{checked, derive};
use crate::engine::error::{ErrorKind, Result};
use crate::engine::secret::Secret;
use sequoia_openpgp::crypto::{KeyPair, Password, S2K, SessionKey};
use sequoia_openpgp::packet::{Key, key};
use sequoia_openpgp::types::SymmetricAlgorithm;
use sequoia_openpgp::{Fingerprint, KeyHandle};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Salts remembered. A set of duplicity has one per volume, a set of dupr one in all.
const REMEMBERED_SALTS: usize = 64;

/// A secret key, and how to find it.
pub(in crate::engine::seal) type SecretKey = Key<key::SecretParts, key::UnspecifiedRole>;

/// Everything that may open a message.
pub(in crate::engine::seal) struct Secrets {
    passphrases: Vec<Secret>,
    /// The passphrase that opened something last; tried first, for a set is sealed with one.
    last_good: AtomicUsize,
    keys: Vec<SecretKey>,
    derived: Mutex<Vec<Derived>>,
    /// A derivation of the kind we make, of a message that was read whole, and the number of its passphrase.
    proven: Mutex<Option<(usize, S2K)>>,
    unlocked: Mutex<HashMap<Fingerprint, KeyPair>>,
    /// Whether a secret key was met that nobody gave a passphrase for.
    locked_key: AtomicBool,
}

#[derive(Clone)]
struct Derived {
    s2k: S2K,
    passphrase: usize,
    size: usize,
    /// Locked while it is derived, so that who needs the same key waits for it.
    key: Arc<Mutex<Option<SessionKey>>>,
}

impl Secrets {
    /// Passphrases in the order they are tried, without doubles; secret keys in the order they are tried.
    pub(in crate::engine::seal) fn new(
        passphrases: impl IntoIterator<Item = Secret>,
        keys: Vec<SecretKey>,
    ) -> Self {
        let mut unique: Vec<Secret> = Vec::new();
        for passphrase in passphrases {
            if !passphrase.is_empty() && !unique.contains(&passphrase) {
                unique.push(passphrase);
            }
        }
        Self {
            passphrases: unique,
            last_good: AtomicUsize::new(0),
            keys,
            derived: Mutex::default(),
            proven: Mutex::default(),
            unlocked: Mutex::default(),
            locked_key: AtomicBool::new(false),
        }
    }

    /// The passphrases with their numbers, the last good one first.
    pub(in crate::engine::seal) fn passphrases(&self) -> impl Iterator<Item = (usize, &Secret)> {
        let last = self.last_good.load(Ordering::Relaxed);
        let rest = self
            .passphrases
            .iter()
            .enumerate()
            .filter(move |(number, _)| *number != last);
        self.passphrases
            .get(last)
            .map(|passphrase| (last, passphrase))
            .into_iter()
            .chain(rest)
    }

    /// Remembers which passphrase opened a message.
    pub(in crate::engine::seal) fn was_good(&self, number: usize) {
        self.last_good.store(number, Ordering::Relaxed);
    }

    /// The key a passphrase gives with this salt.
    pub(super) fn derive(
        &self,
        number: usize,
        s2k: &S2K,
        cipher: SymmetricAlgorithm,
    ) -> Result<SessionKey> {
        let size = checked(cipher.key_size(), ErrorKind::Unsupported)?;
        let known = |derived: &&Derived| {
            derived.passphrase == number && derived.s2k == *s2k && derived.size == size
        };
        let mut remembered = locked(&self.derived);
        let place = match remembered.iter().find(known) {
            Some(derived) => Arc::clone(&derived.key),
            None => {
                if remembered.len() >= REMEMBERED_SALTS {
                    remembered.remove(0);
                }
                let key = Arc::default();
                remembered.push(Derived {
                    s2k: s2k.clone(),
                    passphrase: number,
                    size,
                    key: Arc::clone(&key),
                });
                key
            }
        };
        drop(remembered);
        let mut place = locked(&place);
        if let Some(key) = &*place {
            return Ok(key.clone());
        }
        let passphrase = self
            .passphrases
            .get(number)
            .map(Secret::expose)
            .unwrap_or_default();
        let key = derive::key(s2k, passphrase, size)?;
        Ok(place.insert(key).clone())
    }

    /// How many keys were made of passphrases so far.
    #[cfg(test)]
    pub(in crate::engine::seal) fn derivations(&self) -> usize {
        locked(&self.derived).len()
    }

    /// The key a passphrase gives with this salt in the cipher of our own messages, if it was derived before.
    fn derived(&self, number: usize, s2k: &S2K) -> Option<SessionKey> {
        let size = CIPHER.key_size().ok()?;
        let remembered = locked(&self.derived);
        let mut all = remembered.iter();
        let found = all.find(|d| d.passphrase == number && d.s2k == *s2k && d.size == size)?;
        // Locked as long as it is derived.
        found.key.try_lock().ok()?.clone()
    }

    /// Takes note that a message with this derivation was opened with the passphrase of this number, and was found whole.
    pub(super) fn was_proven(&self, number: usize, s2k: &S2K) {
        // Only what is as slow to try as what we would choose ourselves.
        if let (
            S2K::Iterated {
                hash, hash_bytes, ..
            },
            S2K::Iterated {
                hash: own_hash,
                hash_bytes: own_bytes,
                ..
            },
        ) = (s2k, S2K::default())
            && *hash == own_hash
            && *hash_bytes >= own_bytes
        {
            *locked(&self.proven) = Some((number, s2k.clone()));
        }
    }

    /// Secret keys that may belong to the recipient; all of them if it is hidden.
    pub(super) fn keys_of(
        &self,
        recipient: Option<&KeyHandle>,
    ) -> impl Iterator<Item = &SecretKey> {
        self.keys
            .iter()
            .filter(move |key| recipient.is_none_or(|handle| handle.aliases(key.key_handle())))
    }

    /// Whether any secret key is here.
    pub(in crate::engine::seal) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The key ready for use, or `None` if no passphrase unlocks it.
    pub(in crate::engine::seal) fn unlock(&self, key: &SecretKey) -> Option<KeyPair> {
        let fingerprint = key.fingerprint();
        if let Some(pair) = locked(&self.unlocked).get(&fingerprint) {
            return Some(pair.clone());
        }
        let pair = unlock_with(key, self.passphrases().map(|(_, passphrase)| passphrase));
        match &pair {
            Some(pair) => {
                locked(&self.unlocked).insert(fingerprint, pair.clone());
            }
            None => self.met_locked_key(),
        }
        pair
    }

    /// Takes note of a secret key that does not open: if no passphrase was given, that is no mistake of anybody's.
    pub(in crate::engine::seal) fn met_locked_key(&self) {
        if self.passphrases.is_empty() {
            self.locked_key.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a secret key stayed locked because no passphrase was given.
    pub(in crate::engine::seal) fn has_met_locked_key(&self) -> bool {
        self.locked_key.load(Ordering::Relaxed)
    }
}

/// The key ready for use, if it is not protected or one of the passphrases unlocks it.
pub(in crate::engine::seal) fn unlock_with<'a>(
    key: &SecretKey,
    passphrases: impl IntoIterator<Item = &'a Secret>,
) -> Option<KeyPair> {
    if key.has_unencrypted_secret() {
        return key.clone().into_keypair().ok();
    }
    passphrases
        .into_iter()
        .find_map(|passphrase| {
            key.clone()
                .decrypt_secret(&Password::from(passphrase.expose()))
                .ok()
        })
        .and_then(|open| open.into_keypair().ok())
}

/// The passphrase new messages are encrypted with, and the key derived from it under one salt: that of a message read
/// before, or a random one.
pub(in crate::engine::seal) struct PassphraseKey {
    secrets: Arc<Secrets>,
    number: usize,
    s2k: Mutex<Option<S2K>>,
}

impl PassphraseKey {
    /// Encrypts with the passphrase of this number. What is written can be read back without deriving anew.
    pub(in crate::engine::seal) fn new(secrets: Arc<Secrets>, number: usize) -> Self {
        Self {
            secrets,
            number,
            s2k: Mutex::new(None),
        }
    }

    /// The derivation and its key, the same for all messages of a seal. The first key takes some 30 ms.
    pub(super) fn derived(&self) -> Result<(S2K, ComingKey)> {
        let mut s2k = locked(&self.s2k);
        let proven = || {
            let proven = locked(&self.secrets.proven);
            let proven = proven.as_ref().filter(|(number, _)| *number == self.number);
            proven.map(|(_, s2k)| s2k.clone())
        };
        // The library's default: salted and iterated SHA-256 over 65 million bytes, the most the format allows.
        let s2k = s2k.get_or_insert_with(|| proven().unwrap_or_default());
        let (secrets, number, wanted) = (Arc::clone(&self.secrets), self.number, s2k.clone());
        let key = match secrets.derived(number, s2k) {
            Some(key) => ComingKey::Here(key),
            None => ComingKey::begin(move || secrets.derive(number, &wanted, CIPHER))?,
        };
        Ok((s2k.clone(), key))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
