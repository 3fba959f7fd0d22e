//! Finds the keys the user named and refuses those that cannot do their task, with the reason.

use super::gpg::Gpg;
use super::keys::Keyring;
use super::openpgp::sign::{SecretPart, SigningKey};
use super::openpgp::unlock::{SecretKey, unlock_with};
use super::openpgp::write::Recipient;
use super::openpgp::{POLICY, checked};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::secret::Secret;
use sequoia_openpgp::Fingerprint;
use sequoia_openpgp::cert::amalgamation::ValidAmalgamation;
use sequoia_openpgp::cert::amalgamation::key::ValidErasedKeyAmalgamation;
use sequoia_openpgp::cert::{Cert, CertParser, ValidCert};
use sequoia_openpgp::packet::key::PublicParts;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::types::RevocationStatus;
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// The opened keyring.
pub(super) enum Keys {
    /// gpg answers; it also knows which secret keys its agent has.
    GnuPg { gpg: Gpg, secret: HashSet<String> },
    /// All certificates of a file or directory.
    Certificates(Vec<Cert>),
}

/// What a key is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Encrypt,
    Sign,
}

impl Keys {
    /// Opens the keyring, a GnuPG with these further options.
    pub(super) fn open(keyring: &Keyring, options: &[String]) -> Result<Self> {
        match keyring {
            Keyring::GnuPg { home, program } => {
                let gpg = Gpg {
                    program: program.clone(),
                    home: home.clone(),
                    options: options.to_vec(),
                };
                let secret = gpg.secret_fingerprints()?;
                Ok(Keys::GnuPg { gpg, secret })
            }
            Keyring::Certificates(path) => Ok(Keys::Certificates(load(path)?)),
        }
    }

    /// The key new files can be encrypted to.
    pub(super) fn recipient(&self, name: &str, hidden: bool) -> Result<Recipient> {
        let cert = self.find(name)?;
        let key = usable_key(&cert, name, Task::Encrypt)?;
        Ok(Recipient {
            key: key.key().clone(),
            hidden,
        })
    }

    /// The key that can sign new files, unlocked if it is here.
    pub(super) fn signer(&self, name: &str, passphrases: &[Secret]) -> Result<SigningKey> {
        let cert = self.find(name)?;
        let key = usable_key(&cert, name, Task::Sign)?;
        let no_secret = || refused(name, Task::Sign, "its secret part is not in the keyring");
        let secret = match self {
            Keys::GnuPg { gpg, secret } => {
                if !secret.contains(&key.key().fingerprint().to_hex()) {
                    return Err(no_secret());
                }
                SecretPart::GnuPg {
                    gpg: gpg.clone(),
                    passphrase: passphrases.first().cloned(),
                }
            }
            Keys::Certificates(_) => {
                let secret = key
                    .key()
                    .clone()
                    .parts_into_secret()
                    .map_err(|_| no_secret())?;
                let Some(pair) = unlock_with(&secret, passphrases) else {
                    return Err(Error::new(
                        ErrorKind::WrongKey,
                        format!("no passphrase unlocks the key {name}"),
                    )
                    .with_hint("give the passphrase of the signing key"));
                };
                SecretPart::Here(Box::new(pair))
            }
        };
        Ok(SigningKey {
            public: key.key().clone().parts_into_public(),
            secret,
        })
    }

    /// Whether any of these keys, by their IDs, has its secret part with gpg; a hidden recipient may be any key.
    pub(super) fn opens(&self, recipients: &[[u8; 8]]) -> bool {
        let Keys::GnuPg { secret, .. } = self else {
            return false;
        };
        let id = |bytes: &[u8; 8]| -> String { bytes.iter().map(|b| format!("{b:02X}")).collect() };
        recipients.iter().any(|bytes| match bytes {
            [0, 0, 0, 0, 0, 0, 0, 0] => !secret.is_empty(),
            bytes => secret.iter().any(|known| known.ends_with(&id(bytes))),
        })
    }

    /// All secret keys that are here, subkeys included.
    pub(super) fn secret_keys(&self) -> Vec<SecretKey> {
        match self {
            Keys::GnuPg { .. } => Vec::new(),
            Keys::Certificates(certs) => certs
                .iter()
                .flat_map(|cert| cert.keys().secret().map(|key| key.key().clone()))
                .collect(),
        }
    }

    /// Whether messages to this key can be opened here.
    pub(super) fn has_secret(&self, fingerprint: &Fingerprint) -> bool {
        match self {
            Keys::GnuPg { secret, .. } => secret.contains(&fingerprint.to_hex()),
            Keys::Certificates(_) => self
                .secret_keys()
                .iter()
                .any(|key| key.fingerprint() == *fingerprint),
        }
    }

    /// The one certificate of this name, or in the file of this absolute path.
    pub(super) fn find(&self, name: &str) -> Result<Cert> {
        let file = Path::new(name);
        let mut found = match self {
            _ if file.is_absolute() => load(file)?,
            Keys::GnuPg { gpg, .. } => {
                let name = name.trim_end_matches('!');
                let bytes = gpg.export(name)?;
                parse(&bytes)
                    .map_err(|e| e.within(format!("cannot read the key {name} gpg exported")))?
            }
            Keys::Certificates(certs) => certs
                .iter()
                .filter(|cert| is_named(cert, name))
                .cloned()
                .collect(),
        };
        match (found.pop(), found.len()) {
            (Some(cert), 0) => Ok(cert),
            (None, _) if file.is_absolute() => {
                let text = format!("there is no certificate in {name}");
                Err(Error::new(ErrorKind::Usage, text))
            }
            (None, _) => Err(
                Error::new(ErrorKind::Usage, format!("no key {name} in the keyring"))
                    .with_hint("import it, or name the key by its fingerprint"),
            ),
            (Some(last), _) => {
                let all: Vec<String> = found
                    .iter()
                    .chain([&last])
                    .map(|cert| cert.fingerprint().to_hex())
                    .collect();
                Err(Error::new(
                    ErrorKind::Usage,
                    format!("{name} names several keys: {}", all.join(", ")),
                )
                .with_hint("name the key by its fingerprint"))
            }
        }
    }
}

fn load(path: &Path) -> Result<Vec<Cert>> {
    let reading = |e| Error::io("read the keys in", path, e);
    if !path.is_dir() {
        return parse(&fs::read(path).map_err(reading)?)
            .map_err(|e| e.within(format!("cannot use {}", path.display())));
    }
    let mut files = fs::read_dir(path)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<std::io::Result<Vec<_>>>()
        })
        .map_err(reading)?;
    files.retain(|file| file.is_file());
    files.sort();
    let mut certs = Vec::new();
    for file in files {
        certs.extend(load(&file)?);
    }
    // The same key may lie there twice, with and without its secret part.
    certs.sort_by_key(|cert: &Cert| (cert.fingerprint(), !cert.is_tsk()));
    certs.dedup_by_key(|cert| cert.fingerprint());
    Ok(certs)
}

fn parse(bytes: &[u8]) -> Result<Vec<Cert>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let certs = checked(CertParser::from_bytes(bytes), ErrorKind::Corrupt)?;
    certs
        .map(|cert| checked(cert, ErrorKind::Corrupt))
        .collect()
}

/// Whether the user means this certificate: by a fingerprint or key ID of one of its keys, by a mail address, or by a
/// part of a user ID.
fn is_named(cert: &Cert, name: &str) -> bool {
    if let Some(hex) = as_hex(name) {
        return cert
            .keys()
            .any(|key| key.key().fingerprint().to_hex().ends_with(&hex));
    }
    let wanted = name.to_lowercase();
    cert.userids().any(|id| {
        String::from_utf8_lossy(id.userid().value())
            .to_lowercase()
            .contains(&wanted)
    })
}

/// The digits of a fingerprint or key ID, in upper case.
fn as_hex(name: &str) -> Option<String> {
    let digits: String = name
        .trim_end_matches('!')
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect();
    let digits = digits
        .strip_prefix("0x")
        .or(digits.strip_prefix("0X"))
        .unwrap_or(&digits);
    let is_id =
        matches!(digits.len(), 8 | 16 | 40 | 64) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then(|| digits.to_uppercase())
}

/// The newest key of the certificate that can do the task today, or the very one that was named.
fn usable_key<'a>(
    cert: &'a Cert,
    name: &str,
    task: Task,
) -> Result<ValidErasedKeyAmalgamation<'a, PublicParts>> {
    let valid = cert
        .with_policy(&*POLICY, None)
        .map_err(|e| refused(name, task, &format!("{e:#}")))?;
    if let RevocationStatus::Revoked(_) = valid.revocation_status() {
        return Err(refused(name, task, "it is revoked"));
    }
    valid
        .alive()
        .map_err(|e| refused(name, task, &format!("it is expired ({e:#})")))?;
    let named = as_hex(name).filter(|hex| !cert.fingerprint().to_hex().ends_with(hex));
    let fit = capable(&valid, task)
        .filter(|key| {
            named
                .as_ref()
                .is_none_or(|hex| key.key().fingerprint().to_hex().ends_with(hex))
        })
        .filter(|key| defect(key).is_none());
    fit.max_by_key(|key| key.key().creation_time())
        .ok_or_else(|| refused(name, task, &why_none(&valid, task)))
}

fn capable<'a>(
    cert: &ValidCert<'a>,
    task: Task,
) -> impl Iterator<Item = ValidErasedKeyAmalgamation<'a, PublicParts>> + use<'a> {
    let keys = cert.keys();
    match task {
        Task::Encrypt => keys.for_storage_encryption().for_transport_encryption(),
        Task::Sign => keys.for_signing(),
    }
}

/// Why a key that was made for the task cannot do it.
fn defect(key: &ValidErasedKeyAmalgamation<PublicParts>) -> Option<&'static str> {
    if let RevocationStatus::Revoked(_) = key.revocation_status() {
        Some("is revoked")
    } else if key.alive().is_err() {
        Some("is expired")
    } else if !key.key().pk_algo().is_supported() {
        Some("has an algorithm this build does not know")
    } else if key.key().version() != 4 {
        Some("is of a version gpg cannot read")
    } else {
        None
    }
}

fn why_none(cert: &ValidCert, task: Task) -> String {
    let reasons: Vec<String> = capable(cert, task)
        .filter_map(|key| defect(&key).map(|defect| format!("{} {defect}", key.key().keyid())))
        .collect();
    match (reasons.is_empty(), task) {
        (false, _) => reasons.join(", "),
        (true, Task::Encrypt) => "it has no key for encryption".into(),
        (true, Task::Sign) => "it has no key for signing".into(),
    }
}

fn refused(name: &str, task: Task, why: &str) -> Error {
    let task = match task {
        Task::Encrypt => "encrypt to",
        Task::Sign => "sign with",
    };
    Error::new(
        ErrorKind::Usage,
        format!("cannot {task} the key {name}: {why}"),
    )
}
