//! Restored trees, benign and hostile.

use super::walk_tests::{Ears, as_nobody};
use super::{Existing, Owners, Source, TreeWriter, Walk, WriteOptions};
use crate::engine::context::{Cancel, Context};
use crate::engine::entry::{Entry, Kind, Metadata};
use crate::engine::error::{ErrorKind, Result};
use crate::engine::monitor::ProblemKind;
use crate::engine::path::PathIndex;
use crate::engine::stream::WalkItem;
use crate::engine::time::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub fn path(text: &str) -> PathIndex {
    PathIndex::new(text.as_bytes()).unwrap()
}

/// An entry that belongs to whoever runs the test.
pub fn entry(at: &str, kind: Kind) -> Entry {
    let mode = if kind.is_dir() { 0o750 } else { 0o640 };
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    let meta = Metadata {
        mode,
        uid,
        gid,
        mtime: 1_000_000_000,
        ..Metadata::default()
    };
    Entry {
        path: path(at),
        kind,
        meta,
        size: 0,
    }
}

pub fn dir(at: &str) -> Entry {
    entry(at, Kind::Dir)
}

pub fn link(at: &str, text: &str) -> Entry {
    entry(at, Kind::Symlink(text.as_bytes().into()))
}

/// A place to restore to, and what is heard meanwhile.
pub struct Place {
    pub temp: tempfile::TempDir,
    pub ears: Ears,
    pub cancel: Cancel,
}

impl Place {
    pub fn new() -> Self {
        Self {
            temp: tempfile::tempdir().unwrap(),
            ears: Ears::default(),
            cancel: Cancel::new(),
        }
    }

    pub fn dest(&self) -> PathBuf {
        self.temp.path().join("dest")
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.dest().join(name)
    }

    pub fn writer_with(&self, options: WriteOptions) -> Result<TreeWriter<'_>> {
        let cx = Context {
            monitor: &self.ears,
            cancel: &self.cancel,
            now: Timestamp(0),
            threads: 1,
        };
        TreeWriter::create(&self.dest(), options, &cx)
    }

    pub fn writer(&self) -> TreeWriter<'_> {
        self.writer_with(WriteOptions::default()).unwrap()
    }

    pub fn merging(&self) -> TreeWriter<'_> {
        self.writer_with(WriteOptions {
            existing: Existing::Merge,
            ..WriteOptions::default()
        })
        .unwrap()
    }

    pub fn heard(&self) -> Vec<(ProblemKind, String)> {
        self.ears.heard()
    }

    pub fn has_leftovers(&self) -> bool {
        fn any(dir: &Path) -> bool {
            fs::read_dir(dir).unwrap().map(|e| e.unwrap()).any(|entry| {
                entry.file_name().to_string_lossy().starts_with(".dupr-")
                    || (entry.file_type().unwrap().is_dir() && any(&entry.path()))
            })
        }
        any(self.temp.path())
    }
}

pub fn put(writer: &mut TreeWriter, at: &str, content: &[u8]) {
    put_entry(writer, &entry(at, Kind::File), content);
}

pub fn put_entry(writer: &mut TreeWriter, entry: &Entry, content: &[u8]) {
    if let Some(mut sink) = writer.file(entry).unwrap() {
        sink.write_all(content).unwrap();
        sink.finish().unwrap();
    }
}

#[test]
fn a_tree_comes_back_with_all_attributes() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut closed = dir("closed");
    closed.meta.mode = 0o500;
    let mut suid = entry("closed/suid", Kind::File);
    suid.meta.mode = 0o6755;
    writer.dir(&dir("")).unwrap();
    writer.dir(&closed).unwrap();
    writer.fifo(&entry("closed/pipe", Kind::Fifo)).unwrap();
    put_entry(&mut writer, &suid, b"run me");
    writer.dir(&dir("closed/z")).unwrap();
    writer
        .other(&link("closed/z/link", "../\x1b[31m\n"))
        .unwrap();
    put(&mut writer, "file\nwith\x1b", b"");
    writer.finish().unwrap();
    assert_eq!(place.heard(), []);
    let look = |name: &str| fs::symlink_metadata(place.at(name)).unwrap();
    for (name, mode) in [
        ("", 0o40750),
        ("closed", 0o40500),
        ("closed/pipe", 0o10640),
        ("closed/suid", 0o106755),
        ("closed/z", 0o40750),
        ("file\nwith\x1b", 0o100640),
    ] {
        let meta = look(name);
        assert_eq!(
            (meta.mode(), meta.mtime(), meta.mtime_nsec()),
            (mode, 1_000_000_000, 0),
            "{name:?} {mode:o}"
        );
    }
    assert_eq!(fs::read(place.at("closed/suid")).unwrap(), b"run me");
    assert_eq!(
        fs::read_link(place.at("closed/z/link")).unwrap(),
        Path::new("../\x1b[31m\n")
    );
    assert!(look("closed/pipe").file_type().is_fifo());
    assert!(!place.has_leftovers());
}

#[test]
fn directories_are_private_while_they_are_filled() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut open = dir("");
    open.meta.mode = 0o777;
    writer.dir(&open).unwrap();
    let mut sink = writer.file(&entry("f", Kind::File)).unwrap().unwrap();
    sink.write_all(b"secret").unwrap();
    assert_eq!(fs::metadata(place.dest()).unwrap().mode() & 0o7777, 0o700);
    let names: Vec<_> = fs::read_dir(place.dest())
        .unwrap()
        .map(|e| e.unwrap())
        .collect();
    assert_eq!(names[0].metadata().unwrap().mode() & 0o7777, 0o600);
    assert_ne!(names[0].file_name(), "f");
    sink.finish().unwrap();
    writer.finish().unwrap();
    assert_eq!(fs::metadata(place.dest()).unwrap().mode() & 0o7777, 0o777);
}

#[test]
fn an_unfinished_file_leaves_nothing() {
    let place = Place::new();
    let mut writer = place.writer();
    writer.dir(&dir("")).unwrap();
    let mut sink = writer.file(&entry("torn", Kind::File)).unwrap().unwrap();
    sink.write_all(b"half").unwrap();
    drop(sink);
    put(&mut writer, "whole", b"x");
    writer.finish().unwrap();
    assert!(!place.at("torn").exists() && place.at("whole").exists() && !place.has_leftovers());
}

#[test]
fn the_destination_must_be_empty() {
    let place = Place::new();
    fs::create_dir(place.dest()).unwrap();
    put(&mut place.writer(), "ok", b"");
    let error = place.writer_with(WriteOptions::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(
        error.to_string().contains("not empty") && error.hint().is_some(),
        "{error}"
    );
    fs::remove_dir_all(place.dest()).unwrap();
    fs::write(place.dest(), "").unwrap();
    assert_eq!(
        place
            .writer_with(WriteOptions::default())
            .err()
            .unwrap()
            .kind(),
        ErrorKind::Usage
    );
    fs::remove_file(place.dest()).unwrap();
    symlink("nowhere", place.dest()).unwrap();
    assert_eq!(
        place
            .writer_with(WriteOptions::default())
            .err()
            .unwrap()
            .kind(),
        ErrorKind::Usage
    );
}

#[test]
fn a_part_becomes_the_destination() {
    let place = Place::new();
    let mut writer = place
        .writer_with(WriteOptions {
            part: path("a/b"),
            ..WriteOptions::default()
        })
        .unwrap();
    writer.dir(&dir("a/b")).unwrap();
    put(&mut writer, "a/b/c", b"x");
    let error = writer.dir(&dir("a/c")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    writer.finish().unwrap();
    assert_eq!(fs::read(place.at("c")).unwrap(), b"x");
}

#[test]
fn a_single_file_becomes_the_destination() {
    for prepare in [
        |_: &Path| (),
        // An empty directory makes room.
        |dest: &Path| fs::create_dir(dest).unwrap(),
    ] {
        let place = Place::new();
        prepare(&place.dest());
        let mut writer = place
            .writer_with(WriteOptions {
                part: path("a/f"),
                ..WriteOptions::default()
            })
            .unwrap();
        put(&mut writer, "a/f", b"one file");
        writer.finish().unwrap();
        assert_eq!(fs::read(place.dest()).unwrap(), b"one file");
        assert_eq!(fs::metadata(place.dest()).unwrap().mode() & 0o7777, 0o640);
        assert!(!place.has_leftovers() && place.heard().is_empty());
    }
}

#[test]
fn directories_that_lead_to_a_selected_entry_are_made() {
    let place = Place::new();
    let mut writer = place.writer();
    put(&mut writer, "a/b/c", b"x");
    put(&mut writer, "d", b"y");
    writer.finish().unwrap();
    assert_eq!(
        fs::metadata(place.at("a/b")).unwrap().mode() & 0o7777,
        0o700
    );
    assert!(place.at("a/b/c").exists() && place.heard().is_empty());
}

#[test]
fn zeros_become_holes_and_lengths_stay_right() {
    let place = Place::new();
    let mut writer = place.writer();
    writer.dir(&dir("")).unwrap();
    let mut content = vec![0; 1 << 20];
    content.extend(b"middle");
    content.extend(vec![0; 1 << 20]);
    put(&mut writer, "sparse", &content);
    put(&mut writer, "zeros", &vec![0; 1 << 20]);
    writer.finish().unwrap();
    assert_eq!(fs::read(place.at("sparse")).unwrap(), content);
    assert!(fs::metadata(place.at("sparse")).unwrap().blocks() * 512 <= 16384);
    let zeros = fs::metadata(place.at("zeros")).unwrap();
    assert_eq!((zeros.len(), zeros.blocks()), (1 << 20, 0));
}

#[test]
fn devices_need_root_and_say_so() {
    let device = entry("null", Kind::CharDevice { major: 1, minor: 3 });
    let place = Place::new();
    let mut writer = place.writer();
    writer.dir(&dir("")).unwrap();
    writer.other(&device).unwrap();
    writer.finish().unwrap();
    if rustix::process::geteuid().is_root() {
        let meta = fs::metadata(place.at("null")).unwrap();
        assert!(meta.file_type().is_char_device());
        assert_eq!(
            (meta.rdev(), meta.mode() & 0o7777),
            (rustix::fs::makedev(1, 3), 0o640)
        );
        as_nobody("engine::tree::write_tests::devices_need_root_and_say_so");
    } else {
        assert_eq!(
            place.heard(),
            [(ProblemKind::Unwritable, "null".to_owned())]
        );
        assert!(!place.has_leftovers());
    }
}

#[test]
fn ownership_is_given_as_root_and_refused_without_costing_the_rest() {
    let mut foreign = entry("f", Kind::File);
    (foreign.meta.uid, foreign.meta.gid, foreign.meta.mode) = (12_345, 23_456, 0o6755);
    let place = Place::new();
    let options = WriteOptions {
        restore_ownership: true,
        ..WriteOptions::default()
    };
    let mut writer = place.writer_with(options).unwrap();
    writer.dir(&dir("")).unwrap();
    put_entry(&mut writer, &foreign, b"x");
    writer.finish().unwrap();
    let meta = fs::metadata(place.at("f")).unwrap();
    assert_eq!(meta.mtime(), 1_000_000_000);
    if rustix::process::geteuid().is_root() {
        assert_eq!(
            (meta.uid(), meta.gid(), meta.mode() & 0o7777),
            (12_345, 23_456, 0o6755)
        );
        as_nobody(
            "engine::tree::write_tests::ownership_is_given_as_root_and_refused_without_costing_the_rest",
        );
    } else {
        assert_eq!(
            meta.mode() & 0o7777,
            0o755,
            "setuid must not survive with another owner"
        );
        let metadata = (ProblemKind::Metadata, "f".to_owned());
        assert_eq!(place.heard(), [metadata.clone(), metadata]);
    }
}

#[test]
fn names_of_owners_come_before_numbers_unless_told_otherwise() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut named = entry("f", Kind::File);
    (named.meta.uid, named.meta.uname) = (12_345, Owners::new().user_name(0));
    for (numeric_owner, uid) in [(false, 0), (true, 12_345)] {
        let place = Place::new();
        let mut writer = place
            .writer_with(WriteOptions {
                numeric_owner,
                ..WriteOptions::default()
            })
            .unwrap();
        put_entry(&mut writer, &named, b"x");
        writer.finish().unwrap();
        assert_eq!(fs::metadata(place.at("f")).unwrap().uid(), uid);
    }
    let place = Place::new();
    let options = WriteOptions {
        restore_ownership: false,
        owners: Arc::default(),
        ..WriteOptions::default()
    };
    let mut writer = place.writer_with(options).unwrap();
    put_entry(&mut writer, &named, b"x");
    writer.finish().unwrap();
    assert_eq!(fs::metadata(place.at("f")).unwrap().uid(), 0);
}

#[test]
fn a_walk_of_what_was_written_finds_what_was_walked() {
    let place = Place::new();
    let from = place.temp.path().join("from");
    fs::create_dir_all(from.join("a/b")).unwrap();
    fs::write(from.join("a/b/c"), "content").unwrap();
    symlink("b", from.join("a/l")).unwrap();
    fs::set_permissions(from.join("a"), fs::Permissions::from_mode(0o1710)).unwrap();
    let walked = |root: &Path| -> Vec<Entry> {
        let source = Source::new(root);
        let cx = Context {
            monitor: &place.ears,
            cancel: &place.cancel,
            now: Timestamp(0),
            threads: 1,
        };
        let items = Walk::new(&source, &cx).unwrap();
        items
            .map(|item| match item.unwrap() {
                WalkItem::Entry { entry, .. } => Entry {
                    size: if entry.kind.is_file() { entry.size } else { 0 },
                    ..entry
                },
                WalkItem::Hole(path) => panic!("{path}"),
            })
            .collect()
    };
    let before = walked(&from);
    let mut writer = place.writer();
    for entry in &before {
        if entry.kind.is_file() {
            put_entry(&mut writer, entry, b"content");
        } else {
            writer.other(entry).unwrap();
        }
    }
    writer.finish().unwrap();
    assert_eq!(walked(&place.dest()), before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_pieces_the_content_is_right(
        pieces in proptest::collection::vec((any::<bool>(), 0_usize..20_000), 0..12)
    ) {
        let place = Place::new();
        let mut writer = place.writer();
        let mut content = Vec::new();
        let mut sink = writer.file(&entry("f", Kind::File)).unwrap().unwrap();
        for (zeros, length) in pieces {
            let piece = vec![u8::from(!zeros); length];
            sink.write_all(&piece).unwrap();
            content.extend(piece);
        }
        prop_assert_eq!(sink.written_bytes(), content.len() as u64);
        sink.finish().unwrap();
        writer.finish().unwrap();
        prop_assert!(fs::read(place.at("f")).unwrap() == content);
    }

    /// Archives that lie about types: any mix of links, files and directories stays within the destination.
    #[test]
    fn no_archive_leads_out(
        archive in proptest::collection::btree_map("[ab](/[ab]){0,3}", (0..4, "(\\.\\./){0,3}(a|b|\\.|outside)"), 1..14),
        merge in any::<bool>(),
    ) {
        let place = Place::new();
        let outside = place.temp.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("a"), "theirs").unwrap();
        let archive: BTreeMap<PathIndex, _> = archive.iter().map(|(p, what)| (path(p), what)).collect();
        let mut writer = if merge { place.merging() } else { place.writer() };
        writer.dir(&dir("")).unwrap();
        for (path, (kind, text)) in &archive {
            let at = std::str::from_utf8(path.as_bytes()).unwrap();
            match kind {
                0 => writer.dir(&dir(at)).unwrap(),
                1 => put(&mut writer, at, b"ours"),
                2 => writer.fifo(&entry(at, Kind::Fifo)).unwrap(),
                _ => writer.other(&link(at, text)).unwrap(),
            }
        }
        writer.finish().unwrap();
        prop_assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        prop_assert_eq!(fs::read(outside.join("a")).unwrap(), b"theirs");
        prop_assert_eq!(fs::read_dir(place.temp.path()).unwrap().count(), 2);
        prop_assert!(!place.has_leftovers());
    }
}
