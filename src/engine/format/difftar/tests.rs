use super::*;
use crate::engine::path::PathError;
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

fn read_all(tar: &[u8]) -> Vec<Result<(Member, Vec<u8>), String>> {
    let mut reader = DifftarReader::new(tar);
    let mut all = Vec::new();
    loop {
        match reader.next_member() {
            Ok(None) => return all,
            Ok(Some(member)) => {
                let mut data = Vec::new();
                match reader.read_to_end(&mut data) {
                    Ok(_) => all.push(Ok((member, data))),
                    Err(e) => all.push(Err(e.to_string())),
                }
            }
            Err(e) => {
                let refusal = e.is_refusal();
                all.push(Err(e.to_string()));
                if !refusal {
                    return all;
                }
            }
        }
    }
}

/// Raw names of the members, as any tar program sees them.
fn names(tar: &[u8]) -> Vec<String> {
    let mut reader = TarReader::new(tar);
    let mut names = Vec::new();
    while let Some(header) = reader.next_header().unwrap() {
        names.push(String::from_utf8_lossy(&header.name).into_owned());
    }
    names
}

#[test]
fn members_are_named_as_the_format_wants() {
    let mut tar = Vec::new();
    append_entry(&mut tar, &entry("", Kind::Dir));
    append_single(
        &mut tar,
        DiffKind::Snapshot,
        &entry("a", Kind::File),
        b"data",
    );
    append_block(
        &mut tar,
        DiffKind::Snapshot,
        &entry("b", Kind::File),
        1,
        &[1; 65_536],
    );
    append_block(
        &mut tar,
        DiffKind::Snapshot,
        &entry("b", Kind::File),
        2,
        b"",
    );
    append_entry(&mut tar, &entry("d", Kind::Dir));
    append_single(
        &mut tar,
        DiffKind::Diff,
        &entry("d/e", Kind::File),
        b"delta",
    );
    append_block(
        &mut tar,
        DiffKind::Diff,
        &entry("d/f", Kind::File),
        12,
        b"x",
    );
    append_deleted(&mut tar, &PathIndex::new(b"g").unwrap());
    append_entry(
        &mut tar,
        &entry("l", Kind::Symlink(b"../t".as_slice().into())),
    );
    let expected = [
        "snapshot/./",
        "snapshot/a",
        "multivol_snapshot/b/1",
        "multivol_snapshot/b/2",
        "snapshot/d/",
        "diff/d/e",
        "multivol_diff/d/f/12",
        "deleted/g",
        "snapshot/l",
    ];
    assert_eq!(names(&tar), expected);

    let read: Vec<_> = read_all(&tar).into_iter().map(Result::unwrap).collect();
    let summary = |(m, data): &(Member, Vec<u8>)| {
        assert_eq!(m.size, data.len() as u64);
        (
            m.diff,
            m.path.to_string(),
            m.block,
            m.kind.word(),
            data.len(),
        )
    };
    let expected = [
        (DiffKind::Snapshot, ".", None, "dir", 0),
        (DiffKind::Snapshot, "a", None, "reg", 4),
        (DiffKind::Snapshot, "b", Some(1), "reg", 65_536),
        (DiffKind::Snapshot, "b", Some(2), "reg", 0),
        (DiffKind::Snapshot, "d", None, "dir", 0),
        (DiffKind::Diff, "d/e", None, "reg", 5),
        (DiffKind::Diff, "d/f", Some(12), "reg", 1),
        (DiffKind::Deleted, "g", None, "reg", 0),
        (DiffKind::Snapshot, "l", None, "sym", 0),
    ];
    for (got, (diff, path, block, word, size)) in read.iter().map(summary).zip(expected) {
        assert_eq!(got, (diff, path.to_owned(), block, word, size));
    }
    assert_eq!(read[1].0.meta, entry("", Kind::File).meta);
    assert_eq!(read[7].0.meta, Metadata::default());
}

#[test]
fn source_that_is_no_directory_has_its_own_spelling() {
    let mut tar = Vec::new();
    append_single(&mut tar, DiffKind::Snapshot, &entry("", Kind::File), b"");
    append_block(&mut tar, DiffKind::Snapshot, &entry("", Kind::File), 1, b"");
    append_entry(&mut tar, &entry("", Kind::Fifo));
    assert_eq!(
        names(&tar),
        ["snapshot/", "multivol_snapshot/./1", "snapshot/"]
    );
    for member in read_all(&tar) {
        assert!(member.unwrap().0.path.is_root());
    }
}

#[test]
fn time_before_1970_is_stored_as_1970() {
    let mut old = entry("old", Kind::Fifo);
    old.meta.mtime = -5;
    let mut tar = Vec::new();
    append_entry(&mut tar, &old);
    assert_eq!(tar.len(), 512);
    assert_eq!(read_all(&tar)[0].as_ref().unwrap().0.meta.mtime, 0);
}

#[test]
fn refused_members_do_not_hide_the_next() {
    let bad = [
        "snapshot/../etc/passwd",
        "snapshot/a/../../b",
        "snapshot//etc/passwd",
        "snapshot/a//b",
        "snapshot/./a",
        "../snapshot/a",
        "/snapshot/a",
        "a",
        "",
        "Snapshot/a",
        "signature/a",
        "multivol_snapshot/a",
        "multivol_snapshot/a/x",
        "multivol_snapshot/a/0",
        "multivol_snapshot/a/",
        "multivol_snapshot/a/99999999999",
        "multivol_snapshot/../1",
        "multivol_diff/a/-1",
    ];
    let mut tar = Vec::new();
    for name in bad {
        tar::write_header(
            &mut tar,
            name.as_bytes(),
            &Kind::File,
            &Metadata::default(),
            3,
        );
        tar.extend_from_slice(b"abc");
        append_padding(&mut tar, 3);
    }
    for name in ["diff/d", "multivol_snapshot/d/1"] {
        tar::write_header(
            &mut tar,
            name.as_bytes(),
            &Kind::Fifo,
            &Metadata::default(),
            0,
        );
    }
    append_single(
        &mut tar,
        DiffKind::Snapshot,
        &entry("good", Kind::File),
        b"good",
    );
    let read = read_all(&tar);
    assert_eq!(read.len(), bad.len() + 3);
    assert!(read[..bad.len() + 2].iter().all(Result::is_err));
    assert_eq!(read.last().unwrap().as_ref().unwrap().1, b"good");

    let error = DifftarReader::new(tar.as_slice())
        .next_member()
        .unwrap_err();
    let Error::Refused { name, reason } = error else {
        panic!("{error}")
    };
    assert_eq!(name, b"snapshot/../etc/passwd");
    assert_eq!(reason, Refusal::Path(PathError::BadComponent));
}

#[test]
fn volumes_end_on_a_record() {
    let table = [
        (0, 10_240),
        (512, 9_728),
        (9_728, 512),
        (10_240, 10_240),
        (20_479, 1),
    ];
    for (written, zeros) in table {
        assert_eq!(end_padding(written), zeros);
    }
}

fn any_path() -> impl Strategy<Value = PathIndex> {
    prop::collection::vec(prop::collection::vec(1u8.., 1..40), 1..5)
        .prop_filter_map("path", |parts| PathIndex::new(&parts.join(&b'/')).ok())
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        paths in prop::collection::vec((any_path(), 0u8..6, prop::collection::vec(any::<u8>(), 0..600)), 0..6),
    ) {
        let mut tar = Vec::new();
        let mut expected = Vec::new();
        for (number, (path, choice, data)) in (1u32..).zip(&paths) {
            let file = Entry { path: path.clone(), ..entry("", Kind::File) };
            let dir = Entry { kind: Kind::Dir, ..file.clone() };
            let member = |diff, block| {
                let size = data.len() as u64;
                Member { diff, path: path.clone(), block, kind: Kind::File, meta: file.meta.clone(), size }
            };
            expected.push(match choice {
                0 => {
                    append_entry(&mut tar, &dir);
                    (Member { kind: Kind::Dir, size: 0, ..member(DiffKind::Snapshot, None) }, vec![])
                }
                1 => {
                    append_deleted(&mut tar, path);
                    let meta = Metadata::default();
                    (Member { meta, size: 0, ..member(DiffKind::Deleted, None) }, vec![])
                }
                2 | 3 => {
                    let diff = if *choice == 2 { DiffKind::Snapshot } else { DiffKind::Diff };
                    append_single(&mut tar, diff, &file, data);
                    (member(diff, None), data.clone())
                }
                _ => {
                    let diff = if *choice == 4 { DiffKind::Snapshot } else { DiffKind::Diff };
                    append_block(&mut tar, diff, &file, number, data);
                    (member(diff, Some(number)), data.clone())
                }
            });
        }
        tar.resize(tar.len() + end_padding(tar.len() as u64), 0);
        prop_assert_eq!(tar.len() % 10_240, 0);
        let read: Vec<_> = read_all(&tar).into_iter().map(Result::unwrap).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn any_name_is_read_without_panic(name in "(snapshot|diff|deleted|multivol_snapshot|multivol_diff)?[./a-c0-9\u{e4}]{0,20}") {
        let mut tar = Vec::new();
        tar::write_header(&mut tar, name.as_bytes(), &Kind::File, &Metadata::default(), 0);
        for member in read_all(&tar).into_iter().flatten() {
            prop_assert!(!member.0.path.components().any(|c| c == b".."));
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        read_all(&bytes);
    }
}

/// A volume with files of every length, among them volumes.
fn with_volumes_inside(rounds: u32) -> Vec<u8> {
    let mut inner = Vec::new();
    for n in 0..40 {
        let data = vec![7; n * 977 % 9000];
        append_single(
            &mut inner,
            DiffKind::Snapshot,
            &entry(&format!("inner{n:02}"), Kind::File),
            &data,
        );
    }
    let mut tar = Vec::new();
    for n in 0..rounds {
        let file = entry(&format!("outer{n:03}"), Kind::File);
        let data = vec![9; n as usize * 3571 % BLOCK_BYTES];
        append_single(&mut tar, DiffKind::Snapshot, &file, &data);
        let file = entry(&format!("outer{n:03}-tar"), Kind::File);
        for (number, block) in (1..).zip(inner.chunks(BLOCK_BYTES)) {
            append_block(&mut tar, DiffKind::Snapshot, &file, number, block);
        }
    }
    tar
}

#[test]
fn members_are_found_in_the_middle_of_a_volume() {
    let tar = with_volumes_inside(12);
    for at in (0..tar.len() - 4 * BLOCK_BYTES).step_by(7 * 512) {
        let piece = &tar[at..at + 4 * BLOCK_BYTES];
        let (start, last) = find_members(piece).unwrap();
        // Whatever it began with, it came to where the members of the volume are.
        assert!(last.as_bytes().starts_with(b"outer"), "{at} {start} {last}");
        assert!(start <= 2 * BLOCK_BYTES && start % 512 == 0);
    }
    for at in [1, 100, 511] {
        assert!(find_members(&tar[at..at + 4 * BLOCK_BYTES]).is_none());
    }
    for piece in [
        &b""[..],
        &[0; 512],
        &vec![0; 300_000],
        &tar[tar.len() - 700..],
    ] {
        assert!(find_members(piece).is_none());
    }
}

#[test]
fn a_member_longer_than_a_block_is_none_of_ours() {
    let header = |name: &str, size: u64| {
        let mut out = Vec::new();
        tar::write_header(
            &mut out,
            name.as_bytes(),
            &Kind::File,
            &Metadata::default(),
            size,
        );
        out
    };
    let long = [header("snapshot/big", 1 << 40), vec![1; 300_000]].concat();
    assert!(find_members(&long).is_none());
    let foreign = [header("home/a", 100), vec![0; 512]].concat().repeat(300);
    assert!(find_members(&foreign).is_none());
}

proptest! {
    #[test]
    fn any_piece_is_survived(mut piece in prop::collection::vec(any::<u8>(), 0..4000), at in 0usize..8) {
        let tar = with_volumes_inside(1);
        piece.splice(..0, tar[..at * 512].to_vec());
        let _ = find_members(&piece);
    }
}
