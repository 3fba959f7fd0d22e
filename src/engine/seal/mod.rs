//! Compress, encrypt, sign; and the reverse. Knows neither where bytes come from nor where they go.

mod deflate;
mod gpg;
mod gzip;
mod hash;
mod inflate;
mod keyring;
pub mod keys;
mod middle;
mod openpgp;
mod plain;
mod sealer;

pub use gpg::agent::Asking;
pub use hash::{ReadHash, Written};
pub use keys::{
    Encryption, Gpgsm, Keyring, SealOptions, Signature, agent_passphrase, block_bytes_for, open,
};

pub use middle::Middle;

use super::error::Result;
use std::fs::File;
use std::io::{Read, Write};

/// How a stored file is sealed. The end of its name tells.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// As it is.
    Plain,
    /// gzip: `.gz`.
    Gzip,
    /// One CMS message (S/MIME, PKCS #7), made by gpgsm: `.p7m`. Nothing in it tells of changes, so it ranks below `.gpg`.
    Cms,
    /// One OpenPGP message, binary: `.gpg`.
    Gpg,
}

impl Form {
    /// Whether it takes a key to read it.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Form::Cms | Form::Gpg)
    }
}

/// How hard to compress.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Not at all: plain files, and OpenPGP messages without a compressed packet.
    None,
    /// Less than [`Default`](Compression::Default), for speed.
    Fast,
    /// About as small as gpg makes it, several times as fast.
    #[default]
    Default,
    /// As small as deflate gets for a reasonable time.
    Best,
}

/// Where a sealed file is being written.
///
/// Bytes written are the plain content. [`finish`](SealWriter::finish) must be called: without it the file is torn.
pub trait SealWriter: Write + Send {
    /// Best knowledge of how many bytes the sealed file has when it is finished after what was written so far.
    ///
    /// Depends only on the bytes written, never on the speed of threads, so that volumes are cut at the same
    /// place in every run.
    fn estimated_bytes(&self) -> u64;

    /// Ends the stream, and flushes and drops the output. Tells what it was given.
    ///
    /// # Errors
    /// Whatever the output or the encryption reports; the file is then worthless.
    fn finish(self: Box<Self>) -> Result<Written>;
}

/// The seal of one target: how new files are sealed and with which keys old ones open.
pub trait Seal: Send + Sync {
    /// Form of new volumes and sigtars.
    fn form(&self) -> Form;

    /// Form of new manifests: they are never gzipped.
    fn manifest_form(&self) -> Form {
        let form = self.form();
        if form.is_encrypted() {
            form
        } else {
            Form::Plain
        }
    }

    /// Starts a sealed file of `form` on `out`.
    ///
    /// # Errors
    /// No usable key, or the first write failed.
    fn seal(&self, form: Form, out: Box<dyn Write + Send>) -> Result<Box<dyn SealWriter>>;

    /// Opens a sealed file. Errors that show up while reading are [`Error`](super::Error)s inside `io::Error`.
    ///
    /// # Errors
    /// `WrongKey` if no key or passphrase opens it, `Corrupt` if it is not what `form` says.
    fn unseal(&self, form: Form, input: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>>;

    /// As [`unseal`](Self::unseal), hashing the file while its content is read. Nobody has checked what is read until the end
    /// has come, and the hash was found right.
    ///
    /// # Errors
    /// As [`unseal`](Self::unseal).
    fn unseal_hashing(&self, form: Form, file: File) -> Result<(Box<dyn Read + Send>, ReadHash)>;

    /// Makes the key of a file that will be opened soon, if that takes long. Whatever goes wrong is told when it is opened.
    fn make_ready(&self, _form: Form, _file: &File) {}

    /// A file to be read from places in its middle; `None` if that cannot be done here.
    fn middle(&self, _form: Form, _input: File) -> Option<Middle> {
        None
    }

    /// Whether files sealed today can be read back on this machine: not so with a public key alone, and not any more once
    /// [`unseal`](Self::unseal) has met a secret key that is locked and that no passphrase was given for.
    fn can_read_back(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
