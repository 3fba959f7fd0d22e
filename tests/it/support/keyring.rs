//! A private GnuPG home with the worthless keys of `tests/golden/keys`.

use super::programs;
use super::scratch::Scratch;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Passphrase of both keys and of everything encrypted with a passphrase.
pub const PASSPHRASE: &str = "golden";

/// A GnuPG home that ends with its test, agent and all.
pub struct Keyring {
    home: Scratch,
    /// Fingerprint of the key backups are encrypted to: ed25519 with a cv25519 subkey.
    pub encrypt: String,
    /// Fingerprint of the key backups are signed with: RSA 2048.
    pub sign: String,
}

impl Keyring {
    /// A home with both keys, or `None` if gpg may be missing and is.
    pub fn new() -> Option<Self> {
        let gpg = programs::find("gpg")?;
        let home = Scratch::new("gnupg");
        // Cheap passphrase hashing: this is a test, and every file of every set would pay for it.
        for (file, text) in [
            ("gpg.conf", "s2k-count 65536\ntrust-model always\n"),
            ("gpg-agent.conf", "s2k-count 65536\n"),
        ] {
            std::fs::write(home.join(file), text).expect("own folder");
        }
        let keys = keys();
        for name in ["encrypt", "sign"] {
            let status = Command::new(&gpg)
                .arg("--homedir")
                .arg(home.path())
                .args([
                    "--batch",
                    "--quiet",
                    "--pinentry-mode",
                    "loopback",
                    "--passphrase",
                    PASSPHRASE,
                    "--import",
                ])
                .arg(keys.join(format!("{name}-secret-worthless.asc")))
                .output()
                .expect("gpg starts");
            assert!(
                status.status.success(),
                "gpg --import: {}",
                String::from_utf8_lossy(&status.stderr)
            );
        }
        let fingerprints = std::fs::read_to_string(keys.join("fingerprints"))
            .expect("tests/golden/keys/fingerprints");
        let of = |name: &str| {
            let line = fingerprints
                .lines()
                .find_map(|l| l.strip_prefix(name))
                .expect("two fingerprints");
            line.trim().to_string()
        };
        Some(Self {
            encrypt: of("encrypt"),
            sign: of("sign"),
            home,
        })
    }

    /// Where it lies.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// What a program needs to know to use the keys.
    pub fn env(&self) -> Vec<(String, String)> {
        let home = self.home.path().display().to_string();
        [
            ("GNUPGHOME", home.as_str()),
            ("PASSPHRASE", PASSPHRASE),
            ("SIGN_PASSPHRASE", PASSPHRASE),
        ]
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .to_vec()
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "all"])
            .output();
    }
}

fn keys() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/keys")
}
