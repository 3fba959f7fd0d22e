//! The user's own GnuPG, for keys that never leave its agent and for packets only it can read.
//!
//! A run of gpg counts as good only if it exits with 0 *and* its status lines say so. Secrets travel by descriptor,
//! never in the arguments; words are taken from the status lines, which no locale changes.

pub(super) mod agent;
mod cms;
mod decrypt;
mod encrypt;
mod process;
mod session;
mod sign;

pub(super) use cms::Opener;
pub(super) use decrypt::{Signer, decrypt};
pub(super) use encrypt::{GpgWriter, Orders};
pub(super) use session::session_key;
pub(super) use sign::DetachedSigner;

use super::keys::{Gpgsm, Keyring};
use crate::engine::error::{Error, ErrorKind, Result};
use process::{Finished, Process};
use std::collections::HashSet;
use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;

/// How gpg is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gpg {
    /// Name or path of the program.
    pub program: PathBuf,
    /// Its home directory, if not the usual one.
    pub home: Option<PathBuf>,
    /// Further options, of the user's.
    pub options: Vec<String>,
}

impl Gpg {
    /// The GnuPG of a keyring that has one.
    pub(super) fn of(keyring: &Keyring, options: &[String]) -> Option<Self> {
        match keyring {
            Keyring::GnuPg { home, program } => Some(Self {
                program: program.clone(),
                home: home.clone(),
                options: options.to_vec(),
            }),
            Keyring::Certificates(_) => None,
        }
    }

    /// The gpgsm that goes with a keyring.
    pub(super) fn cms(keyring: &Keyring, gpgsm: &Gpgsm) -> Self {
        Self {
            program: gpgsm.program.clone(),
            home: match keyring {
                Keyring::GnuPg { home, .. } => home.clone(),
                Keyring::Certificates(_) => None,
            },
            options: gpgsm.options.clone(),
        }
    }

    /// The program's name without its folder.
    pub(super) fn name(&self) -> String {
        let name = self.program.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Public keys of everything the name matches, as gpg matches it; empty if nothing does.
    pub(super) fn export(&self, name: &str) -> Result<Vec<u8>> {
        let (_, output) = self.run(["--export", "--", name])?;
        Ok(output)
    }

    /// Fingerprints of all keys and subkeys whose secret part gpg can use.
    pub(super) fn secret_fingerprints(&self) -> Result<HashSet<String>> {
        let (finished, output) =
            self.run(["--with-colons", "--fixed-list-mode", "--list-secret-keys"])?;
        // An empty keyring may end with 2, depending on the version.
        if !finished.success && !output.is_empty() {
            return Err(finished.error("gpg cannot list its secret keys"));
        }
        Ok(secret_fingerprints(&String::from_utf8_lossy(&output)))
    }

    /// Whether a gpgsm has the secret key of a certificate the name matches.
    pub(super) fn has_secret_of(&self, name: &str) -> Result<bool> {
        let (_, output) = self.run(["--with-colons", "--list-secret-keys", "--", name])?;
        let listing = String::from_utf8_lossy(&output);
        Ok(listing.lines().any(|line| line.starts_with("crs:")))
    }

    /// Runs gpg to its end without input and takes its whole output.
    fn run<const N: usize>(&self, arguments: [&str; N]) -> Result<(Finished, Vec<u8>)> {
        let mut process = Process::start(self, arguments.map(OsString::from), None)?;
        drop(process.stdin.take());
        let mut output = Vec::new();
        if let Some(mut stdout) = process.stdout.take() {
            stdout
                .read_to_end(&mut output)
                .map_err(|e| Error::from(e).within("cannot read from gpg"))?;
        }
        Ok((process.finish()?, output))
    }
}

/// The fingerprints in gpg's colon format of keys whose secret part is not a stub. doc/DETAILS of GnuPG describes it.
fn secret_fingerprints(listing: &str) -> HashSet<String> {
    let mut usable = false;
    let mut found = HashSet::new();
    for line in listing.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.first() {
            // Field 15: `#` for a secret part that is not here, a serial number for a smart card, `+` or nothing else.
            Some(&"sec" | &"ssb") => usable = fields.get(14).is_none_or(|token| *token != "#"),
            Some(&"fpr") if usable => {
                found.extend(fields.get(9).map(|fingerprint| fingerprint.to_string()))
            }
            _ => {}
        }
    }
    found
}

fn unexpected(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("gpg ended well but {what}"))
        .with_hint("check which program is run as gpg")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_have_no_secret() {
        let listing = "sec:u:255:22:AAAA:1700000000:::u:::scESC:::#::ed25519:::0:\nfpr:::::::::A1:\ngrp:::::::::G:\n\
                       uid:u::::1::H::Ada <ada@example.org>::::::::::0:\n\
                       ssb:u:255:18:BBBB:1700000000::::::e:::+::cv25519::\nfpr:::::::::B1:\n";
        assert_eq!(
            secret_fingerprints(listing),
            HashSet::from(["B1".to_string()])
        );
    }
}
