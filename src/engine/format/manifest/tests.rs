use super::*;
use proptest::prelude::*;

fn p(text: &str) -> PathIndex {
    PathIndex::new(text.as_bytes()).unwrap()
}

fn bound(path: &str, block: Option<u32>) -> Bound {
    Bound {
        path: p(path),
        block,
    }
}

fn volume(start: Bound, end: Bound, digit: char) -> VolumeInfo {
    VolumeInfo {
        start,
        end,
        hash: Some((HashKind::Sha1, digit.to_string().repeat(40))),
    }
}

/// As duplicity 3.2.1 wrote it, blanks at line ends and all.
const SAMPLE: &str = "\
Hostname vm
Localdir \"s\\x20rc\"
Volume 1:
    StartingPath   .  \n    EndingPath     z3m 3
    Hash SHA1 1111111111111111111111111111111111111111
Volume 2:
    StartingPath   z3m 4
    EndingPath     \"ap\\x27os\"  \n    Hash SHA1 2222222222222222222222222222222222222222
Filelist 3
    new      a.txt
    changed  \"ap\\x27os\"
    deleted  dir/b
";

fn sample() -> Manifest {
    let change = |word, path| FileChange {
        word,
        path: p(path),
    };
    Manifest {
        hostname: Some(b"vm".to_vec()),
        local_dir: Some(b"s rc".to_vec()),
        volumes: BTreeMap::from([
            (1, volume(bound("", None), bound("z3m", Some(3)), '1')),
            (2, volume(bound("z3m", Some(4)), bound("ap'os", None), '2')),
        ]),
        files: Some(vec![
            change(FileWord::New, "a.txt"),
            change(FileWord::Changed, "ap'os"),
            change(FileWord::Deleted, "dir/b"),
        ]),
        files_damaged: false,
        has_list: true,
    }
}

#[test]
fn reading_line_by_line_is_the_same() {
    let text = sample().to_bytes();
    let volumes = Manifest::read_volumes(text.as_slice()).unwrap();
    assert_eq!(volumes, Manifest::parse_volumes(&text).unwrap());
    let list: Vec<FileChange> = FileList::new(text.as_slice()).map(Result::unwrap).collect();
    assert_eq!(Some(list), Manifest::parse(&text).unwrap().files);
    for end in 0..text.len() {
        let (a, b) = (
            Manifest::read_volumes(&text[..end]),
            Manifest::parse_volumes(&text[..end]),
        );
        assert_eq!(a.ok(), b.ok(), "cut at {end}");
    }
    let long = vec![b'x'; 3 * LINE_BYTES_MAX];
    assert!(Manifest::read_volumes(long.as_slice()).is_err());
}

#[test]
fn written_byte_for_byte_and_read_back() {
    assert_eq!(String::from_utf8(sample().to_bytes()).unwrap(), SAMPLE);
    assert_eq!(Manifest::parse(SAMPLE.as_bytes()), Ok(sample()));
    let expected = Manifest {
        files: None,
        ..sample()
    };
    assert_eq!(Manifest::parse_volumes(SAMPLE.as_bytes()), Ok(expected));
}

#[test]
fn set_without_entries_has_the_root_as_both_bounds() {
    let mut out = Vec::new();
    let info = VolumeInfo {
        start: Bound::root(),
        end: Bound::root(),
        hash: None,
    };
    write_volume(&mut out, 1, &info);
    assert_eq!(
        out,
        b"Volume 1:\n    StartingPath   .  \n    EndingPath     .  \n"
    );
    assert_eq!(
        filelist_line(FileWord::New, &PathIndex::root()),
        b"    new      .\n"
    );
    assert_eq!(filelist_header(0), b"Filelist 0\n");
    out.clear();
    write_header(&mut out, b"", b"");
    assert!(out.is_empty());
}

fn numbered(numbers: &[(u32, &str)]) -> String {
    let mut text = Vec::new();
    for (number, path) in numbers {
        write_volume(
            &mut text,
            *number,
            &volume(bound(path, None), bound(path, None), 'a'),
        );
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn later_block_of_a_volume_holds() {
    let text = numbered(&[(1, "a"), (2, "b"), (3, "stale"), (3, "c"), (4, "d")]);
    let manifest = Manifest::parse(text.as_bytes()).unwrap();
    assert_eq!(manifest.volumes.len(), 4);
    assert_eq!(manifest.volumes[&3].start.path, p("c"));
}

#[test]
fn volumes_above_the_last_block_are_void() {
    let text = numbered(&[(1, "a"), (2, "b"), (3, "c"), (4, "d"), (2, "e")]);
    let manifest = Manifest::parse(text.as_bytes()).unwrap();
    assert_eq!(manifest.volumes.keys().copied().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn list_of_files_may_stand_anywhere_and_the_last_one_holds() {
    let list = "Filelist 1\n    new      x\n";
    let first = format!("{list}{}", numbered(&[(1, "a")]));
    assert_eq!(
        Manifest::parse(first.as_bytes()).unwrap().files.unwrap()[0].path,
        p("x")
    );
    let twice = format!(
        "{}{list}{}Filelist 1\n    deleted  y\n",
        numbered(&[(1, "a")]),
        numbered(&[(2, "b")])
    );
    let manifest = Manifest::parse(twice.as_bytes()).unwrap();
    assert_eq!(manifest.volumes.len(), 2);
    assert_eq!(manifest.files.unwrap()[0].path, p("y"));
}

#[test]
fn damaged_list_of_files_is_no_error() {
    for list in [
        "Filelist 2\n    new  x\n",
        "Filelist x\n",
        "Filelist 1\n    odd  x\n",
        "Filelist 1\n    new  ../x\n",
    ] {
        let text = numbered(&[(1, "a")]) + list;
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert!(manifest.files_damaged && manifest.files.is_none(), "{list}");
        assert!(
            !Manifest::parse_volumes(text.as_bytes())
                .unwrap()
                .files_damaged
        );
    }
}

#[test]
fn keywords_in_any_case_with_unknown_ones_between() {
    let text = format!(
        "HOSTNAME  vm\nhostname other\nvolume 1\n startingpath a/b\n  Colour blue\n  ENDINGPATH c 7\n  hash MD5 {}\n  hash sha1 {}\n  Hash MD5 {}\n",
        "a".repeat(32),
        "B".repeat(40),
        "c".repeat(32),
    );
    let manifest = Manifest::parse(text.as_bytes()).unwrap();
    assert_eq!(manifest.hostname.as_deref(), Some(b"vm".as_slice()));
    let volume = &manifest.volumes[&1];
    assert_eq!(
        (&volume.start, &volume.end),
        (&bound("a/b", None), &bound("c", Some(7)))
    );
    assert_eq!(volume.hash, Some((HashKind::Sha1, "b".repeat(40))));
}

#[test]
fn errors_name_the_line() {
    let head = "Hostname vm\nLocaldir src\nVolume 1:\n    StartingPath   .  \n";
    let end = "    EndingPath     a  \n";
    let cases = [
        (String::new(), "no volumes in the manifest"),
        ("Hostname vm\n".into(), "no volumes in the manifest"),
        ("Volume 0:\n".into(), "line 1: not a number: \"0\""),
        (
            "Volume 99999999999999:\n".into(),
            "line 1: not a number: \"99999999999999\"",
        ),
        (head.into(), "volume 1 on line 3 has no EndingPath"),
        (
            format!("Volume 1:\n{end}"),
            "volume 1 on line 1 has no StartingPath",
        ),
        (
            format!("{head}    EndingPath\n"),
            "volume 1 on line 3 has no EndingPath",
        ),
        (
            format!("{head}    EndingPath a b\n"),
            "line 5: not a number: \"b\"",
        ),
        (
            format!("{head}    EndingPath ../a\n"),
            "line 5: path has a component that is empty, \".\" or \"..\"",
        ),
        (
            format!("{head}    EndingPath \"a\n"),
            "line 5: closing quote missing",
        ),
        (
            format!("{head}{end}    Hash SHA1 abc\n"),
            "line 6: not a hash",
        ),
        (
            format!("Localdir \"a\n{head}{end}"),
            "line 1: closing quote missing",
        ),
        (
            format!("{head}{end}{}", "x".repeat(LINE_BYTES_MAX + 1)),
            "line 6: line is longer than 1048576 bytes",
        ),
    ];
    for (text, expected) in cases {
        let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
        let expected = expected.replace("line 6: line", "line 6");
        assert_eq!(error, expected);
    }
}

fn any_path() -> impl Strategy<Value = PathIndex> {
    prop::collection::vec(prop::collection::vec(1u8.., 1..6), 0..4)
        .prop_filter_map("path", |parts| PathIndex::new(&parts.join(&b'/')).ok())
}

prop_compose! {
    fn any_bound()(path in any_path(), block: Option<u32>) -> Bound {
        Bound { path, block }
    }
}

prop_compose! {
    fn any_volume()(
        start in any_bound(),
        end in any_bound(),
        hash in prop_oneof![
            Just(None),
            "[0-9a-f]{40}".prop_map(|h| Some((HashKind::Sha1, h))),
            "[0-9a-f]{32}".prop_map(|h| Some((HashKind::Md5, h))),
        ],
    ) -> VolumeInfo {
        VolumeInfo { start, end, hash }
    }
}

fn any_word() -> impl Strategy<Value = FileWord> {
    prop_oneof![
        Just(FileWord::New),
        Just(FileWord::Changed),
        Just(FileWord::Deleted)
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        hostname in prop::option::of("[a-z]{1,10}"),
        local_dir in prop::option::of(prop::collection::vec(any::<u8>(), 1..10)),
        volumes in prop::collection::btree_map(1u32.., any_volume(), 1..5),
        files in prop::option::of(prop::collection::vec((any_word(), any_path()), 0..5)),
    ) {
        let files = files.map(|list| {
            list.into_iter().map(|(word, path)| FileChange { word, path }).collect()
        });
        let hostname = hostname.map(String::into_bytes);
        let has_list = files.is_some();
        let manifest = Manifest { hostname, local_dir, volumes, files, files_damaged: false, has_list };
        prop_assert_eq!(Manifest::parse(&manifest.to_bytes()), Ok(manifest));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        let _ = Manifest::parse(&bytes);
    }

    #[test]
    fn damaged_manifests_are_read_without_panic(at in 0usize..400, byte: u8, cut in 0usize..400) {
        let mut text = SAMPLE.as_bytes().to_vec();
        if let Some(b) = text.get_mut(at) {
            *b = byte;
        }
        text.truncate(cut);
        let _ = Manifest::parse(&text);
    }
}
