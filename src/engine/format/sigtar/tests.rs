use super::*;
use proptest::prelude::*;

fn entry(path: &str, kind: Kind) -> Entry {
    let meta = Metadata {
        mode: 0o644,
        uid: 1,
        gid: 2,
        mtime: 1_700_000_000,
        ..Metadata::default()
    };
    Entry {
        path: PathIndex::new(path.as_bytes()).unwrap(),
        kind,
        meta,
        size: 0,
    }
}

fn sample() -> (Vec<u8>, Vec<SigEntry>) {
    let mut tar = Vec::new();
    let link = entry("link", Kind::Symlink(b"to".as_slice().into()));
    let (root, file) = (entry("", Kind::Dir), entry("a", Kind::File));
    append_snapshot(&mut tar, &root);
    append_signature(&mut tar, &file, b"rs\x016 signature");
    append_snapshot(&mut tar, &entry("d", Kind::Dir));
    append_deleted(&mut tar, &PathIndex::new(b"d/gone").unwrap());
    append_snapshot(&mut tar, &link);
    tar.resize(tar.len() + end_padding(tar.len() as u64), 0);
    let other = |e: Entry| SigEntry {
        path: e.path,
        state: SigState::Other {
            kind: e.kind,
            meta: e.meta,
        },
    };
    let signature = b"rs\x016 signature".to_vec();
    let expected = vec![
        other(root),
        SigEntry {
            path: file.path,
            state: SigState::File {
                meta: file.meta,
                signature,
            },
        },
        other(entry("d", Kind::Dir)),
        SigEntry {
            path: PathIndex::new(b"d/gone").unwrap(),
            state: SigState::Deleted,
        },
        other(link),
    ];
    (tar, expected)
}

#[test]
fn paths_are_read_alone_and_entries_when_asked_for() {
    let (tar, expected) = sample();
    let mut reader = SigtarReader::new(tar.as_slice());
    let mut number = 0;
    while let Some(path) = reader.next_path().unwrap() {
        let entry = &expected[number];
        assert_eq!(path, entry.path.as_bytes());
        if number % 2 == 1 {
            assert_eq!(&reader.entry().unwrap(), entry);
        }
        number += 1;
    }
    assert_eq!(number, expected.len());
}

#[test]
fn what_is_written_is_read() {
    let (tar, expected) = sample();
    let read: Result<Vec<_>, _> = SigtarReader::new(tar.as_slice()).collect();
    assert_eq!(read.unwrap(), expected);
    let mut raw = TarReader::new(tar.as_slice());
    let mut names = Vec::new();
    while let Some(header) = raw.next_header().unwrap() {
        names.push(String::from_utf8_lossy(&header.name).into_owned());
    }
    assert_eq!(
        names,
        [
            "snapshot/",
            "signature/a",
            "snapshot/d/",
            "deleted/d/gone",
            "snapshot/link"
        ]
    );
}

#[test]
fn signatures_can_be_skipped() {
    let (tar, expected) = sample();
    let read: Result<Vec<_>, _> = SigtarReader::new(tar.as_slice())
        .skip_signatures()
        .collect();
    let read = read.unwrap();
    assert_eq!(read.len(), expected.len());
    assert!(matches!(&read[1].state, SigState::File { signature, .. } if signature.is_empty()));
}

#[test]
fn file_at_the_root() {
    let mut tar = Vec::new();
    append_signature(&mut tar, &entry("", Kind::File), b"sig");
    let read = SigtarReader::new(tar.as_slice())
        .next_entry()
        .unwrap()
        .unwrap();
    assert!(read.path.is_root() && matches!(read.state, SigState::File { .. }));
    assert!(tar.starts_with(b"signature/\0"));
}

#[test]
fn sigtars_end_with_two_blocks_and_a_full_record() {
    let table = [
        (0, 10_240),
        (512, 9_728),
        (9_216, 1_024),
        (9_728, 10_752),
        (10_240, 10_240),
    ];
    for (written, zeros) in table {
        assert_eq!(end_padding(written), zeros);
    }
}

#[test]
fn refused_members_do_not_hide_the_next_and_damage_ends_the_iterator() {
    let mut tar = Vec::new();
    let meta = Metadata::default();
    tar::write_header(&mut tar, b"signature/../a", &Kind::File, &meta, 0);
    tar::write_header(&mut tar, b"diff/a", &Kind::File, &meta, 0);
    tar::write_header(&mut tar, b"signature/d", &Kind::Fifo, &meta, 0);
    append_snapshot(&mut tar, &entry("good", Kind::Fifo));
    tar::write_header(&mut tar, b"signature/a", &Kind::File, &meta, 1000);
    tar.extend_from_slice(b"torn");
    let read: Vec<_> = SigtarReader::new(tar.as_slice()).collect();
    assert_eq!(read.len(), 5);
    assert!(
        read[..3]
            .iter()
            .all(|r| r.as_ref().is_err_and(Error::is_refusal))
    );
    assert!(read[3].is_ok());
    assert!(read[4].as_ref().is_err_and(|e| !e.is_refusal()));
}

#[test]
fn huge_signature_is_refused_without_allocating() {
    let mut tar = Vec::new();
    let size = SIGNATURE_BYTES_MAX + 1;
    tar::write_header(
        &mut tar,
        b"signature/a",
        &Kind::File,
        &Metadata::default(),
        size,
    );
    assert!(
        SigtarReader::new(tar.as_slice())
            .next_entry()
            .unwrap_err()
            .is_refusal()
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        for entry in SigtarReader::new(bytes.as_slice()) {
            let _ = entry;
        }
    }

    #[test]
    fn damaged_sigtars_are_read_without_panic(at in 0usize..4000, byte: u8, cut in 0usize..6000) {
        let mut tar = sample().0;
        tar[at] = byte;
        tar.truncate(cut);
        for entry in SigtarReader::new(tar.as_slice()) {
            let _ = entry;
        }
    }
}
