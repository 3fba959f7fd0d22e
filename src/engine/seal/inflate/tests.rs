//! What several threads make of a stream is what one makes of it: content, end, error, and what follows.

use super::*;
use crate::engine::seal::Compression;
use crate::engine::seal::deflate::{DeflateWriter, END_OF_STREAM, MARK, Pool};
use crate::engine::seal::tests::mixed;
use flate2::{Compress, FlushCompress};
use proptest::prelude::*;
use std::io::Write;

fn damaged(how: &str) -> io::Error {
    io::Error::other(how.to_string())
}

fn deflated(data: &[u8], block_bytes: usize) -> Vec<u8> {
    let pool = Pool::new(Compression::Default, 2);
    let mut writer = DeflateWriter::new(&pool, block_bytes, Vec::new()).unwrap();
    writer.write_all(data).unwrap();
    writer.finish().unwrap().0
}

/// Content, checksum, the error if there is one, and what follows the stream.
type Seen = (Vec<u8>, u32, Option<String>, Vec<u8>);

fn read(input: impl Read, threads: usize) -> Seen {
    let crew = (threads > 0).then(|| Crew::new(threads));
    let mut inflate = Inflate::new(input, crew, damaged).with_checksum();
    let (mut plain, mut rest, mut piece) = (Vec::new(), Vec::new(), vec![0; 70_001]);
    let error = loop {
        match inflate.read(&mut piece) {
            Ok(0) => break None,
            Ok(n) => plain.extend(&piece[..n]),
            Err(e) => break Some(e.to_string()),
        }
    };
    let checksum = inflate.checksum().unwrap();
    let _ = inflate.rest().read_to_end(&mut rest);
    // After an error it is nobody's business what follows.
    if error.is_some() {
        rest.clear();
    }
    (plain, checksum, error, rest)
}

fn same(packed: &[u8], followed_by: &[u8]) -> Seen {
    let input = [packed, followed_by].concat();
    let alone = read(&input[..], 0);
    for threads in [2, 3] {
        let many = read(&input[..], threads);
        assert!(many.0 == alone.0, "content with {threads} threads");
        assert_eq!((many.1, &many.2), (alone.1, &alone.2));
        assert!(many.3 == alone.3, "what follows, with {threads} threads");
    }
    alone
}

#[test]
fn streams_with_restart_points_come_back() {
    for bytes in [0, 1, 1 << 20, (1 << 20) + 1, 5_000_000] {
        for block_bytes in [16 * 1024, 256 * 1024] {
            let data = mixed(bytes);
            let packed = deflated(&data, block_bytes);
            // The end of the block before may look like half a mark.
            let marks: Vec<usize> = (0..packed.len())
                .filter(|at| packed[*at..].starts_with(&MARK))
                .collect();
            let apart = marks.chunk_by(|a, b| b - a < MARK.len()).count();
            assert_eq!(apart, bytes.saturating_sub(1) >> 20, "{bytes}");
            let seen = same(&packed, b"and more");
            assert!(seen.0 == data && seen.2.is_none() && seen.3 == b"and more");
            assert_eq!(seen.1, crc32fast::hash(&data));
        }
    }
}

#[test]
fn the_work_is_shared_as_long_as_there_are_marks() {
    let packed = deflated(&mixed(4_000_000), 256 * 1024);
    let mut inflate = Inflate::new(&packed[..], Some(Crew::new(2)), damaged);
    inflate.read_exact(&mut vec![0; 3_000_000]).unwrap();
    assert!(matches!(inflate.state, State::SideBySide(_)));
    inflate.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn only_so_many_streams_at_a_time_have_threads() {
    let packed = deflated(&mixed(3_000_000), 256 * 1024);
    let crew = Crew::new(2);
    let open = || {
        let mut inflate = Inflate::new(&packed[..], Some(crew.clone()), damaged);
        inflate.read_exact(&mut [0; 10]).unwrap();
        inflate
    };
    let first = open();
    assert!(matches!(first.state, State::SideBySide(_)));
    assert!(matches!(open().state, State::Alone(_)));
    drop(first);
    assert!(matches!(open().state, State::SideBySide(_)));
}

#[test]
fn marks_in_stored_content_mislead_nobody() {
    // What somebody saves who keeps such files: it cannot be compressed, and is stored with its marks.
    let inner = deflated(&mixed(8_000_000), 256 * 1024);
    let data = [&mixed(1_500_000)[..], &inner, &mixed(3_000_000)].concat();
    let packed = deflated(&data, 256 * 1024);
    let seen = same(&packed, b"");
    assert!(seen.0 == data && seen.2.is_none());
}

#[test]
fn blocks_that_refer_back_across_a_mark_come_back() {
    // Somebody flushed twice and kept the history.
    let words = b"the same words again and again, across all marks; ".repeat(2000);
    let mut codec = Compress::new(flate2::Compression::new(6), false);
    let mut packed = Vec::with_capacity(1 << 20);
    for _ in 0..4 {
        codec
            .compress_vec(&words, &mut packed, FlushCompress::Sync)
            .unwrap();
        packed.extend(MARK);
    }
    packed.extend(END_OF_STREAM);
    let seen = same(&packed, b"rest");
    assert!(seen.0 == words.repeat(4) && seen.3 == b"rest");
}

#[test]
fn a_failing_input_fails_behind_what_came_before() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(Error::new(ErrorKind::Unreachable, "the line is down").into())
        }
    }
    let data = mixed(4_000_000);
    let packed = deflated(&data, 256 * 1024);
    for cut in [0, 5, packed.len() / 2, packed.len() - 1] {
        let (alone, many) = (
            read((&packed[..cut]).chain(Broken), 0),
            read((&packed[..cut]).chain(Broken), 2),
        );
        assert!(alone.2.as_ref().unwrap().contains("the line is down"));
        assert!(alone == many, "{cut}");
    }
}

/// Pieces of a stream, honest and not.
#[derive(Debug, Clone)]
enum Piece {
    Mark,
    Flush(Vec<u8>),
    Restart(Vec<u8>),
    Stored(Vec<u8>),
    Noise(Vec<u8>),
    End,
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let bytes = || {
        let chunk = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            Just(MARK.to_vec()),
            Just(b"words and words and ".repeat(40)),
        ];
        prop::collection::vec(chunk, 0..6).prop_map(|chunks| chunks.concat())
    };
    let piece = prop_oneof![
        4 => Just(Piece::Mark),
        4 => bytes().prop_map(Piece::Flush),
        4 => bytes().prop_map(Piece::Restart),
        2 => bytes().prop_map(Piece::Stored),
        1 => bytes().prop_map(Piece::Noise),
        1 => Just(Piece::End),
    ];
    prop::collection::vec(piece, 0..24)
}

fn written(pieces: &[Piece]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(1 << 20);
    let mut codec = Compress::new(flate2::Compression::new(6), false);
    let mut history = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Mark => packed.extend(MARK),
            Piece::Flush(bytes) | Piece::Restart(bytes) => {
                codec.reset();
                if matches!(piece, Piece::Flush(_)) && !history.is_empty() {
                    codec.set_dictionary(&history).unwrap();
                }
                codec
                    .compress_vec(bytes, &mut packed, FlushCompress::Sync)
                    .unwrap();
                history.extend(bytes);
            }
            Piece::Stored(bytes) => {
                packed.push(0);
                packed.extend((bytes.len() as u16).to_le_bytes());
                packed.extend((!(bytes.len() as u16)).to_le_bytes());
                packed.extend(bytes);
                history.extend(bytes);
            }
            Piece::Noise(bytes) => packed.extend(bytes),
            Piece::End => packed.extend(END_OF_STREAM),
        }
    }
    packed
}

proptest! {
    #[test]
    fn any_structure_reads_the_same(pieces in pieces(), tail in any::<bool>()) {
        let mut packed = written(&pieces);
        if tail {
            packed.extend(END_OF_STREAM);
        }
        same(&packed, b"what follows");
    }

    #[test]
    fn cut_and_flipped_streams_read_the_same(
        pieces in pieces(),
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 0..4),
    ) {
        let mut packed = written(&pieces);
        packed.extend(END_OF_STREAM);
        for (at, bit) in flips {
            let at = at.index(packed.len());
            packed[at] ^= 1 << bit;
        }
        packed.truncate(cut.index(packed.len() + 1));
        same(&packed, b"");
    }
}

#[test]
fn long_streams_that_are_cut_or_flipped_read_the_same() {
    let data = mixed(3_500_000);
    let packed = deflated(&data, 64 * 1024);
    for n in 0..40usize {
        let mut harmed = packed.clone();
        let at = packed.len() / 40 * n + n;
        match n % 3 {
            0 => harmed.truncate(at),
            _ => harmed[at] ^= 1 << (n % 8),
        }
        let seen = same(&harmed, b"");
        assert!(
            n % 3 > 0 || seen.2.is_some() && data.starts_with(&seen.0),
            "{n}"
        );
    }
}
