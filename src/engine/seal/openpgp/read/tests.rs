//! Messages read through our container against the same ones read by the library alone.

use super::super::head::peek;
use super::super::inside::HELD_BACK_BYTES;
use super::super::late::LateContainer;
use super::super::sign::serialized;
use super::super::unlock::PassphraseKey;
use super::super::write::CIPHER;
use super::*;
use crate::engine::seal::hash::HashingWriter;
use crate::engine::secret::Secret;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use sequoia_openpgp::crypto::Password;
use sequoia_openpgp::packet::skesk::SKESK4;
use sequoia_openpgp::serialize::stream::{Encryptor, LiteralWriter, Message};
use sequoia_openpgp::types::AEADAlgorithm;
use std::io::Write;
use std::sync::LazyLock;

static SECRETS: LazyLock<Arc<Secrets>> =
    LazyLock::new(|| Arc::new(Secrets::new([Secret::new(*b"pw")], Vec::new())));

static KEY: LazyLock<PassphraseKey> = LazyLock::new(|| PassphraseKey::new(Arc::clone(&SECRETS), 0));

/// A message with these packets inside.
fn message(inside: &[u8]) -> Vec<u8> {
    let (s2k, key) = KEY.derived().unwrap();
    let packet = SKESK::from(SKESK4::new(CIPHER, s2k, None).unwrap());
    let mut file = serialized(&packet.into()).unwrap();
    let mut writer = LateContainer::start(key, HashingWriter::new(&mut file));
    writer.write_all(inside).unwrap();
    writer.finish().unwrap().finish().unwrap();
    file
}

fn helper() -> Helper {
    Helper {
        secrets: Arc::clone(&SECRETS),
        signer: None,
        trouble: Trouble::default(),
        container: None,
    }
}

fn is_ours(file: &[u8]) -> bool {
    let (head, seen, _) = peek(Box::new(io::Cursor::new(file.to_vec()))).unwrap();
    helper().unlock(&head, &seen).unwrap().is_some()
}

fn read(file: &[u8]) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    read_into(file, &mut content)?;
    Ok(content)
}

/// Reads as far as it goes.
fn read_into(file: &[u8], content: &mut Vec<u8>) -> Result<()> {
    let (head, seen, rest) = peek(Box::new(io::Cursor::new(file.to_vec())))?;
    MessageReader::open(
        &head,
        (seen, rest),
        None,
        None,
        Arc::clone(&SECRETS),
        None,
        (&Permits::new(1), &Crew::new(2)),
    )?
    .read_to_end(content)?;
    Ok(())
}

fn read_by_library(file: &[u8]) -> Result<Vec<u8>> {
    let file = Box::new(io::Cursor::new(file.to_vec()));
    let mut content = Vec::new();
    survive(|| {
        packets_in(file, helper())?.read_to_end(&mut content)?;
        Ok(())
    })
    .map_err(|error| cause(&Trouble::default(), error))?;
    Ok(content)
}

fn literal(data: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xc0 | 11, 0xff];
    packet.extend((data.len() as u32 + 6).to_be_bytes());
    packet.extend([b'b', 0, 0, 0, 0, 0]);
    packet.extend(data);
    packet
}

fn zip(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(vec![1], flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(vec![2], flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A compressed packet that lasts to the end.
fn open_ended(body: &[u8]) -> Vec<u8> {
    [&[0xa3], body].concat()
}

/// A compressed packet of known length.
fn bounded(body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&[0xc8, 0xff], &length[..], body].concat()
}

#[test]
fn what_the_library_accepts_is_accepted_and_nothing_else() {
    for bytes in [0, 10, 3_000_000] {
        let data = crate::engine::seal::tests::mixed(bytes);
        let plain = literal(&data);
        let marker = [0xca, 3, b'P', b'G', b'P'];
        let junk = [0xcb, 8, b'b', 0, 0, 0, 0, 0, b'!', b'!'];
        for (inside, what) in [
            (plain.clone(), "literal"),
            (open_ended(&zip(&plain)), "zip"),
            (bounded(&zip(&plain)), "zip, bounded"),
            (open_ended(&zlib(&plain)), "zlib"),
            (bounded(&zlib(&plain)), "zlib, bounded"),
            (open_ended(&[&[0], &plain[..]].concat()), "uncompressed"),
            (bounded(&zip(&bounded(&zip(&plain)))), "twice compressed"),
            ([&marker, &plain[..]].concat(), "marker first"),
            ([&plain[..], &marker].concat(), "marker last"),
            ([&plain[..], &junk].concat(), "two literals"),
            ([&zip(&plain)[..], &junk].concat(), "no packet"),
            (
                open_ended(&[&zip(&plain)[..], &junk].concat()),
                "junk after zip",
            ),
            (
                bounded(&[&zip(&plain)[..], &junk].concat()),
                "junk in bounded zip",
            ),
            (
                [&bounded(&zip(&plain))[..], &junk].concat(),
                "zip and literal",
            ),
            (
                open_ended(&zip(&[&plain[..], &junk].concat())),
                "two in zip",
            ),
            (open_ended(&zip(&plain)[..bytes.min(9) + 2]), "zip cut off"),
            (open_ended(&[9, 1, 2, 3]), "unknown compression"),
            (plain[..plain.len() - 1].to_vec(), "literal cut off"),
            (message(&plain), "a message inside"),
            (Vec::new(), "nothing"),
            (b"-----BEGIN PGP MESSAGE-----\n\nywA=\n".to_vec(), "text"),
        ] {
            let file = message(&inside);
            assert!(is_ours(&file), "{what}");
            match (read(&file), read_by_library(&file)) {
                (Ok(ours), Ok(theirs)) => assert!(ours == data && theirs == data, "{what}"),
                (Err(ours), Err(theirs)) => {
                    let kinds = (ours.kind(), theirs.kind());
                    assert_eq!(
                        kinds,
                        (ErrorKind::Corrupt, ErrorKind::Corrupt),
                        "{what}: {ours}"
                    );
                }
                // Nobody encrypts twice, and gpg does not read it either. Nobody ends with a marker.
                (Err(ours), Ok(_)) => assert!(
                    ["a message inside", "marker last"].contains(&what)
                        && ours.kind() == ErrorKind::Corrupt,
                    "{what}: {ours}"
                ),
                (Ok(_), Err(theirs)) => panic!("only the library refuses {what}: {theirs}"),
            }
        }
    }
}

#[test]
fn what_is_not_ours_is_left_to_the_library() {
    let data = b"content";
    let passphrase = || Some(Password::from("pw"));
    for (cipher, aead, ours) in [
        (SymmetricAlgorithm::AES128, None, true),
        (SymmetricAlgorithm::Camellia256, None, false),
        (SymmetricAlgorithm::AES256, Some(AEADAlgorithm::OCB), false),
    ] {
        let mut file = Vec::new();
        let encryptor =
            Encryptor::with_passwords(Message::new(&mut file), passphrase()).symmetric_algo(cipher);
        let encryptor = match aead {
            Some(aead) => encryptor.aead_algo(aead),
            None => encryptor,
        };
        let message = encryptor.build().unwrap();
        let mut message = LiteralWriter::new(message).build().unwrap();
        message.write_all(data).unwrap();
        message.finalize().unwrap();
        assert_eq!((cipher, aead, is_ours(&file)), (cipher, aead, ours));
        assert_eq!(read(&file).unwrap(), data, "{cipher} {aead:?}");
    }
}

#[test]
fn the_end_of_a_damaged_message_is_held_back() {
    for bytes in [10, HELD_BACK_BYTES - 10_000, 3 * HELD_BACK_BYTES] {
        let mut file = message(&literal(&vec![1; bytes]));
        let last = file.len() - 1;
        file[last] ^= 1;
        let mut content = Vec::new();
        let error = read_into(&file, &mut content).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(
            error.to_string().contains("modification detection code"),
            "{error}"
        );
        assert!(
            content.len() <= bytes.saturating_sub(HELD_BACK_BYTES),
            "{bytes}"
        );
    }
}

#[test]
fn an_input_that_fails_is_told_as_such() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(Error::new(ErrorKind::Unreachable, "connection lost").into())
        }
    }
    let file = message(&literal(&vec![1; 2_000_000]));
    for end in [20, 100, 70_000, 1_900_000, file.len()] {
        let rest = io::Cursor::new(file[..end].to_vec()).chain(Broken);
        let error = peek(Box::new(rest))
            .and_then(|(head, seen, rest)| {
                let mut reader = MessageReader::open(
                    &head,
                    (seen, rest),
                    None,
                    None,
                    Arc::clone(&SECRETS),
                    None,
                    (&Permits::new(1), &Crew::new(2)),
                )?;
                Ok(reader.read_to_end(&mut Vec::new())?)
            })
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{end}: {error}");
    }
}
