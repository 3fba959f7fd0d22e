//! What the profile says about sealing, and the way from there to a [`Seal`].

use super::gpg::Gpg;
use super::gpg::agent::{self, Asking};
use super::sealer::Sealer;
use super::{Compression, Seal};
use crate::engine::error::Result;
use crate::engine::secret::Secret;
use std::path::PathBuf;

/// Everything that decides how files are sealed and opened.
#[derive(Debug, Clone, Default)]
pub struct SealOptions {
    /// How new files are encrypted.
    pub encryption: Encryption,
    /// How new files are compressed.
    pub compression: Compression,
    /// Threads that compress. The result does not depend on it.
    pub threads: usize,
    /// Bytes per compressed block, if not the usual 256 KiB; see [`block_bytes_for`]. The result depends on it.
    pub block_bytes: Option<usize>,
    /// Where keys are found.
    pub keyring: Keyring,
    /// Passphrases of older backups, tried when the present one does not open a file.
    pub further_passphrases: Vec<Secret>,
    /// Key whose good signature every OpenPGP file must carry to be read.
    pub required_signer: Option<String>,
    /// Recipients whose key IDs are left out of the files, though those of others are not.
    pub hidden_recipients: Vec<String>,
    /// Further options of every gpg that is run; for a GnuPG keyring only.
    pub gpg_options: Vec<String>,
    /// What has a passphrase is read by gpg where none is at hand: its agent may know it, or ask.
    pub by_agent: bool,
    /// New files are encrypted by gpg, for options that ask for what is not built in. Slower.
    pub by_gpg: bool,
    /// The program behind CMS messages.
    pub gpgsm: Gpgsm,
}

/// GnuPG's program for X.509 certificates, which reads and writes CMS messages; it looks for keys where gpg does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpgsm {
    /// Whether new files are CMS messages if they are encrypted at all. They are never compressed, nor signed.
    pub writes: bool,
    /// Name or path of the program.
    pub program: PathBuf,
    /// Further options of every gpgsm that is run.
    pub options: Vec<String>,
    /// Where decrypted content waits for its reader, if not in `/tmp`.
    pub temp_dir: Option<PathBuf>,
}

impl Default for Gpgsm {
    fn default() -> Self {
        Self {
            writes: false,
            program: PathBuf::from("gpgsm"),
            options: Vec::new(),
            temp_dir: None,
        }
    }
}

/// How new files are encrypted.
#[derive(Debug, Clone, Default)]
pub enum Encryption {
    /// Not at all.
    #[default]
    None,
    /// With a passphrase.
    Symmetric {
        /// Opens the files.
        passphrase: Secret,
        /// Who signs them.
        sign: Option<Signature>,
    },
    /// To public keys.
    PublicKey {
        /// Fingerprints, key IDs or user IDs; the secret key of any one opens the files.
        recipients: Vec<String>,
        /// Leaves the recipients' key IDs out of the files.
        hidden: bool,
        /// Unlocks the secret key for reading.
        passphrase: Option<Secret>,
        /// Who signs the files.
        sign: Option<Signature>,
    },
}

/// A key that signs new files.
#[derive(Debug, Clone)]
pub struct Signature {
    /// Fingerprint, key ID or user ID.
    pub key: String,
    /// Unlocks it, if it is protected and the agent does not know how.
    pub passphrase: Option<Secret>,
}

/// Where keys are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keyring {
    /// The user's GnuPG. Secret keys stay with its agent.
    GnuPg {
        /// Its home directory, if not the usual one.
        home: Option<PathBuf>,
        /// Name or path of the program.
        program: PathBuf,
    },
    /// A file of OpenPGP certificates and secret keys, or a directory of such files.
    Certificates(PathBuf),
}

impl Default for Keyring {
    fn default() -> Self {
        Keyring::GnuPg {
            home: None,
            program: PathBuf::from("gpg"),
        }
    }
}

/// The passphrase that gpg's agent knows by this name; `None` if it does not know it and is not to ask, or if there is no
/// GnuPG.
///
/// # Errors
/// `WrongKey` if nobody answers, `Unsupported` if there is no agent.
pub fn agent_passphrase(keyring: &Keyring, name: &str, asking: Asking) -> Result<Option<Secret>> {
    match Gpg::of(keyring, &[]) {
        Some(gpg) => agent::passphrase(&gpg, name, asking),
        None => Ok(None),
    }
}

/// Block size that suits volumes of so many bytes: small enough that the lag of the estimate is a fraction of one.
pub fn block_bytes_for(volume_bytes: u64) -> usize {
    let usual = super::deflate::BLOCK_BYTES;
    usize::try_from(volume_bytes / 256)
        .unwrap_or(usual)
        .next_power_of_two()
        .clamp(16 * 1024, usual)
}

/// Checks the options and gathers the keys, before a single byte is written.
///
/// # Errors
/// `Usage` for a key that is unknown, ambiguous, expired, revoked or of no use for its task, with the reason;
/// `WrongKey` if the signing key cannot be unlocked; what reading the keyring reports, and what gpg says of its options
/// if it is to encrypt.
pub fn open(options: &SealOptions) -> Result<Box<dyn Seal>> {
    Ok(Box::new(Sealer::open(options)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_sizes_follow_the_volume() {
        assert_eq!(block_bytes_for(1 << 20), 16 * 1024);
        assert_eq!(block_bytes_for(25 << 20), 128 * 1024);
        assert_eq!(block_bytes_for(200 << 20), 256 * 1024);
        assert_eq!(block_bytes_for(u64::MAX), 256 * 1024);
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = || Secret::new(*b"hunter2");
        let sign = Some(Signature {
            key: "ada".into(),
            passphrase: Some(secret()),
        });
        let options = SealOptions {
            encryption: Encryption::PublicKey {
                recipients: vec!["bob".into()],
                hidden: false,
                passphrase: Some(secret()),
                sign,
            },
            further_passphrases: vec![secret()],
            ..SealOptions::default()
        };
        let text = format!("{options:?}");
        assert!(
            text.contains("bob") && !text.contains("hunter2") && !text.contains("104, 117"),
            "{text}"
        );
    }
}
