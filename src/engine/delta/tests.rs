use super::*;
use rand::{Rng, RngCore, SeedableRng, rngs::SmallRng};
use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

mod random;

fn random(seed: u64, bytes: usize) -> Vec<u8> {
    let mut data = vec![0; bytes];
    SmallRng::seed_from_u64(seed).fill_bytes(&mut data);
    data
}

fn signature(data: &[u8], block_len: usize) -> Vec<u8> {
    let mut builder = SignatureBuilder::new(block_len);
    builder.push(data);
    builder.finish()
}

fn index(data: &[u8], block_len: usize) -> Arc<SignatureIndex> {
    Arc::new(SignatureIndex::parse(&signature(data, block_len)).unwrap())
}

fn delta(basis: &[u8], new: &[u8], block_len: usize) -> Vec<u8> {
    let mut delta = Vec::new();
    DeltaReader::new(index(basis, block_len), new)
        .read_to_end(&mut delta)
        .unwrap();
    delta
}

/// Patches in both ways, which must agree.
fn patched(basis: &[u8], delta: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    let bytes = patch(&mut Cursor::new(basis), delta, &mut out, 1 << 30);
    match (&bytes, Backward::of(delta, 1 << 20)) {
        (_, Ok(Some(backward))) => {
            let mut passed = Vec::new();
            let again = patch_passing(basis, &backward, delta, &mut passed, 1 << 30);
            match (&bytes, &again) {
                (Ok(bytes), Ok(again)) => assert!(bytes == again && passed == out),
                (Err(_), Err(_)) => {}
                _ => panic!("{bytes:?}, but {again:?}"),
            }
        }
        (Ok(_), Err(error)) => panic!("{error}"),
        _ => {}
    }
    assert_eq!(bytes?, out.len() as u64);
    Ok(out)
}

/// Bytes that `new` costs as a delta, after checking that it patches right.
fn cost(basis: &[u8], new: &[u8], block_len: usize) -> usize {
    let delta = delta(basis, new, block_len);
    assert!(patched(basis, &delta).unwrap() == new, "wrong delta");
    delta.len()
}

/// Runs librsync's own program. These tests need `rdiff`.
fn rdiff(args: &[&str], files: &[&Path]) {
    let output = Command::new("rdiff")
        .args(args)
        .args(files)
        .output()
        .expect("this test needs rdiff");
    assert!(
        output.status.success(),
        "rdiff {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Pairs of contents as files meet them.
fn pairs() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let base = random(1, 300_000);
    let edit = |at: usize, remove: usize, insert: &[u8]| {
        let mut new = base.clone();
        new.splice(at..at + remove, insert.iter().copied());
        new
    };
    vec![
        ("empty to empty", vec![], vec![]),
        ("empty to some", vec![], base[..1000].to_vec()),
        ("some to empty", base[..1000].to_vec(), vec![]),
        ("one byte", b"x".to_vec(), b"x".to_vec()),
        ("unchanged", base.clone(), base.clone()),
        (
            "unchanged, whole blocks",
            base[..204_800].to_vec(),
            base[..204_800].to_vec(),
        ),
        ("byte changed", base.clone(), edit(100_000, 1, b"?")),
        (
            "inserted",
            base.clone(),
            edit(100_000, 0, b"some new words"),
        ),
        ("deleted", base.clone(), edit(100_000, 777, b"")),
        ("prepended", base.clone(), edit(0, 0, b"start")),
        ("appended", base.clone(), [&base[..], b"tail"].concat()),
        ("truncated", base.clone(), base[..123_456].to_vec()),
        ("unrelated", base.clone(), random(2, 250_000)),
        (
            "halves swapped",
            base.clone(),
            [&base[150_000..], &base[..150_000]].concat(),
        ),
        ("zeros", vec![0; 300_000], vec![0; 400_001]),
        ("zeros to data", vec![0; 300_000], base.clone()),
        (
            "sparse",
            [&base[..], &vec![0; 100_000]].concat(),
            [&vec![0; 99_999], &base[..]].concat(),
        ),
    ]
}

#[test]
fn block_length_follows_the_file() {
    let table = [
        (0, None, 512),
        (1, None, 512),
        (262_144, None, 512),
        (263_169, None, 1024),
        (3_145_728, None, 2048),
        (3_145_728, Some(1000), 1024),
        (3_145_728, Some(2048), 2048),
        (3_145_728, Some(0), 512),
        (1 << 40, None, 1 << 20),
        (1 << 40, Some(2048), 2048),
        (u64::MAX, None, BLOCK_BYTES_MAX),
        (u64::MAX, Some(u64::MAX), BLOCK_BYTES_MAX),
    ];
    for (length, max, expected) in table {
        assert_eq!(block_len(length, max), expected, "{length} {max:?}");
    }
}

#[test]
fn signature_of_known_content() {
    let expected = [
        0x72, 0x73, 0x01, 0x36, 0, 0, 2, 0, 0, 0, 0, 8, 0x0a, 0xd0, 0x02, 0xd8, 0x63, 0x48, 0x1c,
        0x78, 0xae, 0x04, 0xc2, 0x01,
    ];
    assert_eq!(signature(b"hello\n", 512), expected);
    assert_eq!(signature(b"", 512), expected[..12]);
}

#[test]
fn signatures_are_those_of_rdiff() {
    let dir = tempfile::tempdir().unwrap();
    let (data, sig) = (dir.path().join("data"), dir.path().join("sig"));
    for length in [0, 1, 511, 512, 513, 65_536, 1_000_003, 5_000_000] {
        let content = random(length as u64, length);
        fs::write(&data, &content).unwrap();
        for block_len in [512, 1024, 2048, 70_144] {
            let block = block_len.to_string();
            let args = [
                "-f",
                "-R",
                "rollsum",
                "-H",
                "md4",
                "-S",
                "8",
                "-b",
                &block,
                "signature",
            ];
            rdiff(&args, &[&data, &sig]);
            assert!(
                fs::read(&sig).unwrap() == signature(&content, block_len),
                "{length} {block_len}"
            );
        }
    }
}

#[test]
fn rdiff_applies_our_deltas_and_we_apply_its() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let [basis, new, sig, ours, theirs, result] =
        ["basis", "new", "sig", "ours", "theirs", "result"].map(path);
    for (name, old_content, new_content) in pairs() {
        fs::write(&basis, &old_content).unwrap();
        fs::write(&new, &new_content).unwrap();
        fs::write(&sig, signature(&old_content, 2048)).unwrap();
        fs::write(&ours, delta(&old_content, &new_content, 2048)).unwrap();
        rdiff(&["-f", "patch"], &[&basis, &ours, &result]);
        assert!(fs::read(&result).unwrap() == new_content, "{name}");
        rdiff(&["-f", "delta"], &[&sig, &new, &theirs]);
        let theirs = fs::read(&theirs).unwrap();
        assert!(
            patched(&old_content, &theirs).unwrap() == new_content,
            "{name}"
        );
        let our_bytes = fs::metadata(&ours).unwrap().len() as usize;
        assert!(
            our_bytes <= theirs.len() + theirs.len() / 100 + 32,
            "{name}: {our_bytes} > {}",
            theirs.len()
        );
    }
}

#[test]
fn deltas_are_short() {
    let base = random(1, 300_000);
    assert_eq!(delta(&base, &base, 512).len(), 4 + 1 + 1 + 4 + 1);
    assert_eq!(
        delta(b"x", b"x", 512),
        [0x72, 0x73, 0x02, 0x36, 0x45, 0, 1, 0]
    );
    assert_eq!(delta(b"x", b"", 512), [0x72, 0x73, 0x02, 0x36, 0]);
    assert_eq!(
        delta(b"", b"ab", 512),
        [0x72, 0x73, 0x02, 0x36, 2, b'a', b'b', 0]
    );
    let mut new = base.clone();
    new[123_456] ^= 1;
    assert!(cost(&base, &new, 512) < 600);
    new.insert(50_000, 7);
    assert!(cost(&base, &new, 512) < 1200);
    // A run of equal blocks is one copy.
    assert!(cost(&vec![0; 1 << 20], &vec![0; 1 << 20], 512) < 20);
    let zeros = [&base[..], &vec![0; 1 << 20], &base[..]].concat();
    assert!(cost(&zeros, &zeros[1000..], 512) < 1200);
}

#[test]
fn short_last_block_is_found_at_the_end() {
    let base = random(3, 10_100);
    assert!(cost(&base, &[b"moved by this ", &base[..]].concat(), 512) < 60);
    assert!(cost(&base, &base[10_000..], 512) < 120);
    assert!(cost(&base[..100], &base[..100], 512) < 12);
}

#[test]
fn blocks_out_of_place_do_not_need_the_window_to_hold_them() {
    let base = random(4, 6_000_000);
    let new = [&base[3_000_000..], b"between", &base[..3_000_000]].concat();
    assert!(cost(&base, &new, 2048) < 10_000);
    let far = [&base[..], &random(5, 5_000_000), &base[..]].concat();
    assert!(cost(&base, &far, 2048) < 5_010_000);
}

/// A reader that yields its bytes in pieces of changing size.
struct Trickle<'a>(&'a [u8], SmallRng);

impl Read for Trickle<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let most = self.1.random_range(1..=5000).min(buf.len());
        self.0.read(&mut buf[..most])
    }
}

#[test]
fn result_does_not_depend_on_the_size_of_reads() {
    let base = random(6, 400_000);
    let new = [&base[..200_000], b"!", &base[199_000..]].concat();
    let mut builder = SignatureBuilder::new(1536);
    let mut rest = base.as_slice();
    let mut rng = SmallRng::seed_from_u64(7);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rng.random_range(0..=rest.len().min(300_000)));
        builder.push(piece);
        rest = after;
    }
    assert!(builder.finish() == signature(&base, 1536));
    let mut trickled = Vec::new();
    let reader = DeltaReader::new(index(&base, 1536), Trickle(&new, rng));
    reader.take(u64::MAX).read_to_end(&mut trickled).unwrap();
    assert!(trickled == delta(&base, &new, 1536));
}

#[test]
fn bad_signatures_are_refused() {
    let header = |magic: u32, block: u32, strong: u32| {
        [magic, block, strong]
            .iter()
            .flat_map(|n| n.to_be_bytes())
            .collect::<Vec<u8>>()
    };
    let error = |bytes: &[u8]| SignatureIndex::parse(bytes).unwrap_err().to_string();
    assert!(error(b"").contains("truncated"));
    assert!(error(&header(SIGNATURE_MAGIC, 512, 8)[..11]).contains("truncated"));
    assert!(error(&header(DELTA_MAGIC, 512, 8)).contains("not a librsync signature"));
    assert!(error(&header(0x7273_0137, 512, 8)).contains("BLAKE2"));
    assert!(error(&header(0x7273_0147, 512, 8)).contains("RabinKarp and BLAKE2"));
    for (block, strong) in [(0, 8), (u32::MAX, 8), (512, 0), (512, 17)] {
        assert!(
            error(&header(SIGNATURE_MAGIC, block, strong)).contains("blocks of"),
            "{block} {strong}"
        );
    }
    let mut torn = signature(&random(1, 5000), 512);
    torn.pop();
    assert!(error(&torn).contains("truncated"));
}

#[test]
fn bad_deltas_are_refused() {
    let basis = b"0123456789";
    let error = |commands: &[u8]| {
        let delta = [&DELTA_MAGIC.to_be_bytes(), commands].concat();
        patched(basis, &delta).unwrap_err()
    };
    assert!(matches!(patched(basis, b""), Err(Error::TruncatedDelta)));
    assert!(matches!(
        patched(basis, b"rs\x01\x36"),
        Err(Error::NotADelta { .. })
    ));
    assert!(matches!(error(b""), Error::TruncatedDelta));
    assert!(matches!(error(b"\x05abc"), Error::TruncatedDelta));
    assert!(matches!(error(b"\x42\x01"), Error::TruncatedDelta));
    assert!(matches!(
        error(b"\x55"),
        Error::BadCommand { command: 0x55 }
    ));
    assert!(matches!(error(b"\xff"), Error::BadCommand { .. }));
    assert!(matches!(error(b"\x00\x00"), Error::TrailingBytes));
    assert!(matches!(
        error(b"\x45\x05\x06\x00"),
        Error::CopyOutside {
            offset: 5,
            length: 6,
            basis: 10
        }
    ));
    assert!(matches!(
        error(b"\x45\x0b\x00\x00"),
        Error::CopyOutside { .. }
    ));
    let overflow = [
        &[0x54][..],
        &[0xff; 8],
        &[0x00, 0, 0, 0, 0, 0, 0, 2],
        b"\x00",
    ]
    .concat();
    assert!(matches!(error(&overflow), Error::CopyOutside { .. }));
    let huge = [&[0x44][..], &[0xff; 8]].concat();
    assert!(matches!(error(&huge), Error::TooLong { .. }));
    let limited = patch(
        &mut Cursor::new(basis),
        b"rs\x02\x36\x45\x00\x0a\x00".as_slice(),
        &mut Vec::new(),
        9,
    );
    assert!(matches!(limited, Err(Error::TooLong { limit: 9 })));
    assert_eq!(
        patched(basis, b"rs\x02\x36\x45\x00\x0a\x00").unwrap(),
        basis
    );
}

#[test]
fn a_delta_that_goes_back_is_applied_to_a_basis_that_passes() {
    let basis = random(8, 300_000);
    let copies = [
        (1000, 200),
        (200_000, 100_000),
        (0, 1100),
        (150_000, 70_000),
        (149_999, 2),
        (500, 0),
        (299_999, 1),
    ];
    let mut delta = DELTA_MAGIC.to_be_bytes().to_vec();
    let mut expected = Vec::new();
    for (offset, length) in copies {
        command::write_copy(&mut delta, offset as u64, length as u64);
        expected.extend_from_slice(&basis[offset..offset + length]);
    }
    delta.push(command::END);
    assert!(patched(&basis, &delta).unwrap() == expected);
    let most = 1100 + 70_000 + 2 + 1;
    assert!(Backward::of(&*delta, most).unwrap().is_some());
    assert_eq!(Backward::of(&*delta, most - 1).unwrap(), None);
    // Nothing is read behind the last byte needed.
    let mut input = &basis[..];
    let copy = b"rs\x02\x36\x45\x05\x03\x00";
    let backward = Backward::of(&copy[..], 0).unwrap().unwrap();
    let mut out = Vec::new();
    patch_passing(&mut input, &backward, &copy[..], &mut out, 3).unwrap();
    assert_eq!((&out[..], input.len()), (&basis[5..8], basis.len() - 8));
}

/// Many blocks of one rolling sum, and a content that has that sum everywhere: time must stay linear.
#[test]
fn signature_made_to_collide_is_borne() {
    let new = vec![b'a'; 3_000_000];
    let mut forged = signature(&new[..512], 512);
    let weak = forged[12..16].to_vec();
    forged.truncate(12);
    for block in 0u64..200_000 {
        forged.extend_from_slice(&weak);
        forged.extend_from_slice(&block.to_be_bytes());
    }
    let index = Arc::new(SignatureIndex::parse(&forged).unwrap());
    let mut delta = Vec::new();
    DeltaReader::new(index, new.as_slice())
        .read_to_end(&mut delta)
        .unwrap();
    assert!(patched(b"", &delta).unwrap() == new);
}

#[test]
fn blocks_that_are_new_are_counted() {
    let sign = |bytes: &[u8]| {
        let mut builder = SignatureBuilder::new(1024);
        builder.push(bytes);
        builder.finish()
    };
    let older: Vec<u8> = (0..100 * 1024u32).map(|n| (n / 1024) as u8).collect();
    let mut newer = older.clone();
    newer[5000] ^= 0xff;
    newer.extend_from_slice(&[200; 1024]);
    assert_eq!(signed_bytes(&sign(&newer)), 101 * 1024);
    for (bytes, least, most) in [(0, 0, 0), (1, 1, 1024), (1024, 1, 1024), (1025, 1025, 2048)] {
        let length = signed_length(&sign(&vec![7; bytes]));
        assert_eq!(length, Some((least, most)), "{bytes}");
    }
    assert_eq!(signed_length(b"rs"), None);
    assert_eq!(changed_bytes(&sign(&older), &sign(&newer)), 2 * 1024);
    assert_eq!(changed_bytes(&sign(&newer), &sign(&newer)), 0);
    assert_eq!(changed_bytes(b"", &sign(&newer)), 101 * 1024);
}
