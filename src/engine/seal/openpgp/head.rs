//! The first packets of a message: for whom it is and how it is encrypted.
//!
//! Looked at before a reader is chosen, since the library cannot start over with another one.

use crate::engine::error::{Error, ErrorKind, Result};
use std::io::{self, Read};

/// Enough for the session key packets of a hundred recipients.
const HEAD_BYTES: usize = 64 * 1024;

const PUBLIC_KEY_SESSION: u8 = 1;
const SYMMETRIC_SESSION: u8 = 3;
const MARKER: u8 = 10;
/// Encrypted data without integrity protection.
const UNPROTECTED: u8 = 9;
const PROTECTED: u8 = 18;
/// GnuPG 2.3's own container, which never became a standard.
const GNUPG_AEAD: u8 = 20;

/// Version, prefix of the shortest blocks, literal packet without content, modification detection code.
const MIN_PROTECTED_BYTES: usize = 1 + 10 + 8 + 22;

/// How the data is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::seal) enum Container {
    /// With a modification detection code or in the AEAD way of RFC 9580.
    Protected,
    /// In GnuPG's own AEAD way.
    GnuPgAead,
}

/// What the first packets tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine::seal) struct Head {
    /// Key IDs the session key is encrypted to; all zero for a hidden recipient.
    pub recipients: Vec<[u8; 8]>,
    /// Number of passphrases that open it.
    pub passphrases: usize,
    /// Cipher numbers of the passphrase packets.
    pub ciphers: Vec<u8>,
    /// What follows.
    pub container: Container,
    /// Bytes before that.
    pub bytes: usize,
}

/// Reads the head of a message and gives back a reader that still has it.
pub(in crate::engine::seal) fn peek(
    mut input: Box<dyn Read + Send>,
) -> Result<(Head, Vec<u8>, Box<dyn Read + Send>)> {
    let mut bytes = Vec::with_capacity(4096);
    // Most heads are shorter than a hundred bytes; ask for more only if the packets go on.
    let mut limit = 4096;
    loop {
        let wanted = limit - bytes.len();
        let got = input.by_ref().take(wanted as u64).read_to_end(&mut bytes)?;
        match parse(&bytes) {
            Ok(head) => return Ok((head, bytes, input)),
            Err(Trouble::TooShort) if got == wanted && limit < HEAD_BYTES => limit = HEAD_BYTES,
            Err(trouble) => return Err(trouble.into()),
        }
    }
}

/// Why the head cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Trouble {
    #[error("the file ends within the first packets of its OpenPGP message")]
    TooShort,
    #[error("not an OpenPGP message")]
    NotOpenPgp,
    #[error("the OpenPGP message has no integrity protection")]
    Unprotected,
    #[error("the OpenPGP message is not encrypted")]
    NotEncrypted,
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        let error = Error::new(ErrorKind::Corrupt, trouble.to_string());
        match trouble {
            Trouble::Unprotected => error.with_hint(
                "such a message can be changed unnoticed; if it is really old and yours, convert it with gpg by hand",
            ),
            _ => error,
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Head, Trouble> {
    let mut head = Head {
        recipients: Vec::new(),
        passphrases: 0,
        ciphers: Vec::new(),
        container: Container::Protected,
        bytes: 0,
    };
    let mut rest = bytes;
    loop {
        head.bytes = bytes.len() - rest.len();
        let tag = tag(rest)?;
        match tag {
            PROTECTED => {
                long_enough(rest)?;
                return Ok(head);
            }
            GNUPG_AEAD => {
                return Ok(Head {
                    container: Container::GnuPgAead,
                    ..head
                });
            }
            UNPROTECTED => return Err(Trouble::Unprotected),
            PUBLIC_KEY_SESSION | SYMMETRIC_SESSION | MARKER => {}
            2 | 4 | 8 | 11 => return Err(Trouble::NotEncrypted),
            _ => return Err(Trouble::NotOpenPgp),
        }
        let (body, after) = body(rest)?;
        match (tag, body) {
            (PUBLIC_KEY_SESSION, [3, id @ ..]) => match id.first_chunk() {
                Some(id) => head.recipients.push(*id),
                None => return Err(Trouble::NotOpenPgp),
            },
            // Later versions name their key in other ways; as long as there is one, that is all that matters here.
            (PUBLIC_KEY_SESSION, _) => head.recipients.push([0; 8]),
            (SYMMETRIC_SESSION, body) => {
                head.passphrases += 1;
                if let [4, cipher, ..] = body {
                    head.ciphers.push(*cipher);
                }
            }
            _ => {}
        }
        rest = after;
    }
}

fn tag(bytes: &[u8]) -> Result<u8, Trouble> {
    match bytes.first() {
        None => Err(Trouble::TooShort),
        Some(byte) if byte & 0xc0 == 0xc0 => Ok(byte & 0x3f),
        Some(byte) if byte & 0x80 != 0 => Ok((byte >> 2) & 0x0f),
        Some(_) => Err(Trouble::NotOpenPgp),
    }
}

/// Splits off the body of a packet of known length.
fn body(bytes: &[u8]) -> Result<(&[u8], &[u8]), Trouble> {
    let (header, length) = header(bytes)?;
    let rest = bytes.get(header..).ok_or(Trouble::TooShort)?;
    rest.split_at_checked(length).ok_or(Trouble::TooShort)
}

/// Lengths of the header and the body of a packet of known length.
fn header(bytes: &[u8]) -> Result<(usize, usize), Trouble> {
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0usize, |sum, &byte| sum << 8 | usize::from(byte))
    };
    let at = |range: std::ops::Range<usize>| bytes.get(range).ok_or(Trouble::TooShort);
    let first = number(at(0..1)?);
    Ok(if first & 0x40 != 0 {
        match number(at(1..2)?) {
            short @ 0..=191 => (2, short),
            high @ 192..=223 => (3, ((high - 192) << 8) + number(at(2..3)?) + 192),
            255 => (6, number(at(2..6)?)),
            // Session key packets have no parts.
            _ => return Err(Trouble::NotOpenPgp),
        }
    } else {
        match first & 3 {
            0 => (2, number(at(1..2)?)),
            1 => (3, number(at(1..3)?)),
            2 => (5, number(at(1..5)?)),
            _ => return Err(Trouble::NotOpenPgp),
        }
    })
}

/// Whether encrypted data holds a prefix, a smallest packet and the modification detection code.
///
/// The library takes that for granted.
fn long_enough(bytes: &[u8]) -> Result<(), Trouble> {
    let second = bytes.get(1).copied().ok_or(Trouble::TooShort)?;
    let new_format = bytes.first().is_some_and(|first| first & 0x40 != 0);
    let (header, part) = match (new_format, second) {
        (true, part @ 224..=254) => (2, 1usize << (part & 0x1f)),
        (false, _) if bytes.first().is_some_and(|first| first & 3 == 3) => (1, usize::MAX),
        _ => {
            // The body need not be here as a whole.
            let (header, length) = header(bytes)?;
            (header, length)
        }
    };
    if part < MIN_PROTECTED_BYTES {
        return Err(Trouble::NotOpenPgp);
    }
    if bytes.len() < header + MIN_PROTECTED_BYTES {
        Err(Trouble::TooShort)
    } else {
        Ok(())
    }
}

/// The bytes peeked at, then the rest.
pub(super) fn whole(head: Vec<u8>, rest: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
    Box::new(io::Cursor::new(head).chain(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn heads_of_gpg() {
        // gpg -c: symkey enc version 4, cipher 9, S2K 3, hash 2, salt, count; then old-format encrypted data.
        let mut message = vec![
            0x8c, 13, 4, 9, 3, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0xff, 0xd2, 0xea,
        ];
        assert_eq!(parse(&message).unwrap_err(), Trouble::TooShort);
        message.extend([0; 60]);
        let head = parse(&message).unwrap();
        assert_eq!(
            (head.passphrases, &head.ciphers[..], head.container),
            (1, &[9][..], Container::Protected)
        );
        message[15] = 0xc0 | 20;
        assert_eq!(parse(&message).unwrap().container, Container::GnuPgAead);
        message[15] = 0xc0 | 9;
        assert_eq!(parse(&message).unwrap_err(), Trouble::Unprotected);
        assert_eq!(parse(&message[..9]).unwrap_err(), Trouble::TooShort);
        assert_eq!(parse(b"From: someone").unwrap_err(), Trouble::NotOpenPgp);
        assert_eq!(parse(&[0xcb, 7]).unwrap_err(), Trouble::NotEncrypted);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
