//! Our containers against the library's, and what damage does.

use super::*;
use crate::engine::error::{Error, ErrorKind};
use crate::engine::seal::hash::HashingWriter;
use proptest::prelude::*;
use sequoia_openpgp as openpgp;
use sequoia_openpgp::Packet;
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::parse::{PacketParser, PacketParserResult, Parse};
use sequoia_openpgp::serialize::stream::{Encryptor, LiteralWriter, Message};
use sequoia_openpgp::types::SymmetricAlgorithm;
use sha1::{Digest, Sha1};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

fn key(cipher: SymmetricAlgorithm) -> SessionKey {
    SessionKey::from(vec![7; cipher.key_size().unwrap()])
}

/// A literal packet of one part, of so many bytes in all.
fn literal(bytes: usize) -> Vec<u8> {
    let body = (bytes - 6) as u32;
    let mut packet = vec![0xc0 | 11, 0xff];
    packet.extend(body.to_be_bytes());
    packet.extend([b'b', 0, 0, 0, 0, 0]);
    packet.extend((12..bytes).map(|n| (n % 251) as u8));
    packet
}

fn written(content: &[u8], piece: usize) -> Vec<u8> {
    let mut file = Vec::new();
    let out = HashingWriter::new(&mut file);
    let mut writer = ContainerWriter::start(&key(SymmetricAlgorithm::AES256), out).unwrap();
    for piece in content.chunks(piece) {
        writer.write_all(piece).unwrap();
    }
    let written = writer.finish().unwrap().finish().unwrap();
    let sha1: String = Sha1::digest(&file)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!((written.bytes, written.sha1), (file.len() as u64, sha1));
    file
}

fn read_with(cipher: SymmetricAlgorithm, file: &[u8]) -> Result<Vec<u8>, Error> {
    let decryptor = Decryptor::new(cipher, &key(cipher)).unwrap();
    let mut content = Vec::new();
    ContainerReader::open(file, decryptor, None)?.read_to_end(&mut content)?;
    Ok(content)
}

fn read(file: &[u8]) -> Result<Vec<u8>, Error> {
    read_with(SymmetricAlgorithm::AES256, file)
}

/// What the library reads.
fn read_by_library(file: &[u8]) -> openpgp::Result<Vec<u8>> {
    let mut found = Vec::new();
    let mut is_whole = false;
    let mut result = PacketParser::from_bytes(file)?;
    while let PacketParserResult::Some(mut parser) = result {
        match &parser.packet {
            Packet::SEIP(_) => {
                parser.decrypt(SymmetricAlgorithm::AES256, &key(SymmetricAlgorithm::AES256))?
            }
            Packet::Literal(_) => {
                parser.read_to_end(&mut found)?;
            }
            #[allow(deprecated)]
            Packet::MDC(code) => is_whole = code.valid(),
            other => panic!("{other:?}"),
        }
        result = parser.recurse()?.1;
    }
    assert!(is_whole);
    Ok(found)
}

/// The container with the given lengths of its parts; the last one is told as it comes.
fn in_parts(file: &[u8], parts: &[u8]) -> Vec<u8> {
    let mut body = vec![VERSION];
    let mut reader = file;
    // Our writer's parts all hold 64 KiB, and the last one is shorter.
    assert!(file.len() < 8000);
    reader.read_exact(&mut [0; 1]).unwrap();
    match reader[0] {
        0..=191 => body.extend(&reader[2..]),
        _ => body.extend(&reader[3..]),
    }
    let mut rest = &body[..];
    let mut all = vec![0xc0 | 18];
    for &log2 in parts {
        let Some((part, after)) = rest.split_at_checked(1 << log2) else {
            continue;
        };
        all.push(0xe0 | log2);
        all.extend(part);
        rest = after;
    }
    all.push(0xff);
    all.extend((rest.len() as u32).to_be_bytes());
    all.extend(rest);
    all
}

#[test]
fn every_length_is_read_back_here_and_by_the_library() {
    // Around blocks, batches of both sides, and parts.
    let borders = [32, 16 * 1024, 32 * 1024, 64 * 1024, 128 * 1024];
    for bytes in borders.into_iter().flat_map(|at| at - 20..at + 20) {
        let content = literal(bytes);
        let file = written(&content, 10_007);
        assert!(read(&file).unwrap() == content, "{bytes}");
        assert!(read_by_library(&file).unwrap() == content[12..], "{bytes}");
    }
}

#[test]
fn any_place_is_read_but_those_of_the_first_block_and_the_last_part() {
    let content = literal(200_000);
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(b"before", 0).unwrap();
    file.write_all_at(&written(&content, 10_007), 6).unwrap();
    let cipher = SymmetricAlgorithm::AES256;
    let open = |at| {
        Places::open(
            Arc::new(file.try_clone().unwrap()),
            at,
            (cipher, key(cipher)),
        )
    };
    assert!(open(0).is_none() && open(7).is_none());
    let places = open(6).unwrap();
    assert!(places.read_at(15).unwrap().is_none());
    for at in [
        18, 19, 31, 32, 33, 65_530, 65_535, 65_536, 65_537, 131_000, 180_000,
    ] {
        let mut found = Vec::new();
        let mut reader = places.read_at(at).unwrap().unwrap();
        reader.read_to_end(&mut found).unwrap();
        assert!(
            content[at as usize - PREFIX_BYTES..].starts_with(&found),
            "{at}"
        );
        let end = at as usize + found.len();
        assert!((196_592..196_608).contains(&end), "{at} {end}");
    }
    for at in [197_000, 1_000_000] {
        assert!(places.read_at(at).is_err(), "{at}");
    }
}

#[test]
fn containers_of_the_library_are_read() {
    for cipher in [
        SymmetricAlgorithm::AES128,
        SymmetricAlgorithm::AES192,
        SymmetricAlgorithm::AES256,
    ] {
        for bytes in [0, 1, 100, 70_000, 9_000_000] {
            let mut file = Vec::new();
            let message = Message::new(&mut file);
            let message = Encryptor::with_session_key(message, cipher, key(cipher)).unwrap();
            let mut message = LiteralWriter::new(message.build().unwrap())
                .build()
                .unwrap();
            let data = vec![5; bytes];
            message.write_all(&data).unwrap();
            message.finalize().unwrap();
            let first = first_octets(&file).unwrap();
            assert!(Decryptor::new(cipher, &key(cipher)).unwrap().fits(first));
            let packet = Packet::from_bytes(&read_with(cipher, &file).unwrap()).unwrap();
            let Packet::Literal(packet) = packet else {
                panic!("{packet:?}")
            };
            assert!(packet.body() == data, "{cipher} {bytes}");
        }
    }
}

#[test]
fn wrong_keys_do_not_fit() {
    let cipher = SymmetricAlgorithm::AES256;
    let fitting = (0..100)
        .filter(|_| {
            let first = first_octets(&written(&literal(50), 50)).unwrap();
            let wrong = SessionKey::from(vec![8; 32]);
            Decryptor::new(cipher, &wrong).unwrap().fits(first)
        })
        .count();
    assert!(fitting < 3, "{fitting} of 100");
    for (cipher, bytes) in [
        (cipher, 16),
        (SymmetricAlgorithm::AES128, 32),
        (SymmetricAlgorithm::Camellia256, 32),
    ] {
        assert!(Decryptor::new(cipher, &SessionKey::from(vec![8; bytes])).is_none());
    }
}

#[test]
fn every_cut_and_every_flipped_bit_is_found() {
    let content = literal(60);
    let file = written(&content, 60);
    for end in 0..file.len() {
        let error = read(&file[..end]).expect_err(&format!("cut at {end}"));
        assert_eq!(error.kind(), ErrorKind::Corrupt, "cut at {end}: {error}");
    }
    for bit in 0..file.len() * 8 {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let error = read(&damaged).expect_err(&format!("bit {bit}"));
        assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}: {error}");
    }
    let mut longer = file.clone();
    longer.push(0xca);
    assert_eq!(read(&longer).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_container_without_its_code_is_refused() {
    let content = literal(300);
    let file = in_parts(&written(&content, 300), &[]);
    // The last 22 octets taken off, and the length made to fit.
    let mut short = file[..file.len() - CODE_BYTES].to_vec();
    let length = (short.len() - 6) as u32;
    short[2..6].copy_from_slice(&length.to_be_bytes());
    let error = read(&short).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.to_string().contains("modification detection code"),
        "{error}"
    );
    assert!(read(&file).unwrap() == content);
}

#[test]
fn after_an_error_nothing_more_comes() {
    let mut file = written(&literal(100_000), 100_000);
    let last = file.len() - 1;
    file[last] ^= 1;
    let decryptor =
        Decryptor::new(SymmetricAlgorithm::AES256, &key(SymmetricAlgorithm::AES256)).unwrap();
    let mut reader = ContainerReader::open(&file[..], decryptor, None).unwrap();
    let mut content = Vec::new();
    assert!(reader.read_to_end(&mut content).is_err());
    // What was handed out before does not reach into the last batch.
    assert!(content.len() < 100_000);
    for _ in 0..3 {
        assert!(reader.read(&mut [0; 10]).is_err());
    }
}

#[test]
fn a_reader_left_early_is_still_checked() {
    let mut file = written(&literal(300_000), 300_000);
    let open = |file: &[u8]| {
        let cipher = SymmetricAlgorithm::AES256;
        let decryptor = Decryptor::new(cipher, &key(cipher)).unwrap();
        let mut reader =
            ContainerReader::open(io::Cursor::new(file.to_vec()), decryptor, None).unwrap();
        reader.read_exact(&mut [0; 1000]).unwrap();
        reader
    };
    let mut reader = open(&file);
    io::copy(&mut reader, &mut io::sink()).unwrap();
    assert_eq!(reader.read(&mut [0; 10]).unwrap(), 0);
    file[250_000] ^= 1;
    assert!(io::copy(&mut open(&file), &mut io::sink()).is_err());
}

/// Zeros without end, of which nobody takes more than is needed to see that they are wrong.
struct Zeros(u64);

impl Read for Zeros {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        self.0 += data.len() as u64;
        assert!(self.0 < 20 << 20);
        data.fill(0);
        Ok(data.len())
    }
}

#[test]
fn absurd_lengths_cost_no_memory() {
    for length in [&[0xff, 0xff, 0xff, 0xff, 0xff][..], &[0xfe]] {
        let mut start = vec![0xc0 | 18];
        start.extend(length);
        start.push(VERSION);
        assert!(read(&start).is_err());
        start.extend(&written(&literal(3000), 3000)[4..]);
        assert!(read(&start).is_err());
        let cipher = SymmetricAlgorithm::AES256;
        let decryptor = Decryptor::new(cipher, &key(cipher)).unwrap();
        let mut reader =
            ContainerReader::open(io::Cursor::new(start).chain(Zeros(0)), decryptor, None).unwrap();
        for _ in 0..50 {
            reader.read_exact(&mut [0; 100_000]).unwrap();
        }
        assert!(reader.buffer.capacity() < 100_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parts_may_be_cut_anywhere(bytes in 12usize..3000, parts in prop::collection::vec(0u8..11, 0..20)) {
        let content = literal(bytes);
        let file = in_parts(&written(&content, bytes), &parts);
        prop_assert_eq!(read(&file).unwrap(), content);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300), octets in 0usize..3) {
        let mut file = [0xc0 | 18, 0xe8, VERSION][..octets].to_vec();
        file.extend(bytes);
        prop_assert!(read(&file).is_err());
        let _ = first_octets(&file);
    }
}
