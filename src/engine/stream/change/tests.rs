use super::*;
use std::sync::Arc;

/// Knows that `ada` is user 7 and group 8 here.
struct Ada;

impl OwnerLookup for Ada {
    fn uid_of(&self, name: &[u8]) -> Option<u32> {
        (name == b"ada").then_some(7)
    }
    fn gid_of(&self, name: &[u8]) -> Option<u32> {
        (name == b"ada").then_some(8)
    }
}

fn path(text: &str) -> PathIndex {
    PathIndex::new(text.as_bytes()).unwrap()
}

fn meta() -> Metadata {
    Metadata {
        mode: 0o644,
        uid: 7,
        gid: 8,
        mtime: 1000,
        ..Metadata::default()
    }
}

fn entry(at: &str, kind: Kind) -> Entry {
    Entry {
        path: path(at),
        kind,
        meta: meta(),
        size: 10,
    }
}

fn stamp() -> FileStamp {
    FileStamp {
        size: 10,
        mtime_ns: 0,
        ctime_ns: 0,
        ino: 1,
        dev: 1,
    }
}

fn found(entry: Entry) -> Result<WalkItem> {
    Ok(WalkItem::Entry {
        entry,
        stamp: stamp(),
    })
}

fn hole(at: &str) -> Result<WalkItem> {
    Ok(WalkItem::Hole(path(at)))
}

fn file(at: &str, meta: Metadata) -> Result<SigEntry> {
    Ok(SigEntry {
        path: path(at),
        state: SigState::File {
            meta,
            signature: b"sig".to_vec(),
        },
    })
}

fn other(at: &str, kind: Kind) -> Result<SigEntry> {
    Ok(SigEntry {
        path: path(at),
        state: SigState::Other { kind, meta: meta() },
    })
}

/// A line for each change.
fn told(walk: Vec<Result<WalkItem>>, before: Vec<Result<SigEntry>>) -> Vec<String> {
    changes(walk, before, &ByNumber)
        .map(|change| {
            let change = change.unwrap();
            let word = match change.action {
                Action::Snapshot { .. } => "snapshot",
                Action::Diff { signature, .. } => {
                    assert_eq!(signature, b"sig");
                    "diff"
                }
                Action::Deleted { was_file: true } => "deleted file",
                Action::Deleted { was_file: false } => "deleted",
            };
            format!(
                "{word} {}{}",
                change.path,
                if change.existed { "" } else { " (new)" }
            )
        })
        .collect()
}

#[test]
fn files_are_compared_by_type_mode_owner_and_second() {
    let now = entry("f", Kind::File);
    let say = |change: &dyn Fn(&mut Metadata)| {
        let mut before = meta();
        change(&mut before);
        classify(
            &now,
            &SigState::File {
                meta: before,
                signature: Vec::new(),
            },
            &ByNumber,
        )
    };
    assert_eq!(say(&|_| ()), ChangeKind::Unchanged);
    assert_eq!(say(&|m| m.mode = 0o4644), ChangeKind::Modified);
    assert_eq!(say(&|m| m.uid = 0), ChangeKind::Modified);
    assert_eq!(say(&|m| m.gid = 0), ChangeKind::Modified);
    assert_eq!(say(&|m| m.mtime = 1001), ChangeKind::Modified);
    assert_eq!(say(&|m| m.uname = Arc::from(*b"x")), ChangeKind::Unchanged);
    assert_eq!(
        classify(&now, &SigState::Deleted, &ByNumber),
        ChangeKind::New
    );
    let link = SigState::Other {
        kind: Kind::Symlink(Box::from(*b"x")),
        meta: meta(),
    };
    assert_eq!(classify(&now, &link, &ByNumber), ChangeKind::Type);
}

#[test]
fn times_up_to_1970_are_one() {
    assert!(same_time(0, -5));
    assert!(same_time(-1, -2));
    assert!(!same_time(0, 1));
    assert!(same_time(9, 9));
}

#[test]
fn of_a_symbolic_link_only_the_text_counts() {
    let link = |text: &[u8]| Kind::Symlink(text.into());
    let mut before = meta();
    before.mtime = 5;
    before.uid = 5;
    let before = SigState::Other {
        kind: link(b"a"),
        meta: before,
    };
    assert_eq!(
        classify(&entry("l", link(b"a")), &before, &ByNumber),
        ChangeKind::Unchanged
    );
    assert_eq!(
        classify(&entry("l", link(b"b")), &before, &ByNumber),
        ChangeKind::Modified
    );
}

#[test]
fn devices_are_compared_by_numbers_but_not_by_time() {
    let device = |minor| Kind::CharDevice { major: 1, minor };
    let mut before = meta();
    before.mtime = 5;
    let before = SigState::Other {
        kind: device(3),
        meta: before,
    };
    assert_eq!(
        classify(&entry("d", device(3)), &before, &ByNumber),
        ChangeKind::Unchanged
    );
    assert_eq!(
        classify(&entry("d", device(4)), &before, &ByNumber),
        ChangeKind::Modified
    );
    let block = Kind::BlockDevice { major: 1, minor: 3 };
    assert_eq!(
        classify(&entry("d", block), &before, &ByNumber),
        ChangeKind::Type
    );
}

#[test]
fn names_of_owners_come_before_numbers() {
    let mut before = meta();
    (before.uid, before.gid) = (1007, 1008);
    (before.uname, before.gname) = (Arc::from(*b"ada"), Arc::from(*b"ada"));
    assert!(same_permissions(&meta(), &before, &Ada));
    assert!(!same_permissions(&meta(), &before, &ByNumber));
    before.uname = Arc::from(*b"nobody knows");
    assert!(!same_permissions(&meta(), &before, &Ada));
}

#[test]
fn what_enters_an_increment() {
    let mut touched = meta();
    touched.mtime = 1;
    let walk = vec![
        found(entry("", Kind::Dir)),
        found(entry("changed", Kind::File)),
        found(entry("new", Kind::Fifo)),
        found(entry("now-a-dir", Kind::Dir)),
        found(entry("now-a-file", Kind::File)),
        found(entry("same", Kind::File)),
    ];
    let before = vec![
        other("", Kind::Dir),
        file("changed", touched),
        other("gone", Kind::Dir),
        file("gone/file", meta()),
        file("now-a-dir", meta()),
        other("now-a-file", Kind::Dir),
        file("now-a-file/x", meta()),
        file("same", meta()),
    ];
    let expected = [
        "diff changed",
        "deleted gone",
        "deleted file gone/file",
        "snapshot new (new)",
        "snapshot now-a-dir",
        "snapshot now-a-file",
        "deleted file now-a-file/x",
    ];
    assert_eq!(told(walk, before), expected);
}

#[test]
fn nothing_at_or_below_a_hole_is_deleted() {
    let walk = || {
        vec![
            found(entry("", Kind::Dir)),
            hole("h"),
            found(entry("z", Kind::File)),
        ]
    };
    let before = vec![
        other("", Kind::Dir),
        file("a", meta()),
        other("h", Kind::Dir),
        file("h/x", meta()),
        file("h/x.y/z", meta()),
        file("h.x", meta()),
        file("z", meta()),
    ];
    assert_eq!(told(walk(), before), ["deleted file a", "deleted file h.x"]);
    let below_only = vec![other("", Kind::Dir), file("h/x", meta())];
    assert_eq!(told(walk(), below_only), ["snapshot z (new)"]);
}

#[test]
fn the_root_is_never_deleted_and_a_full_is_all_new() {
    assert_eq!(
        told(vec![], vec![other("", Kind::Dir), file("a", meta())]),
        ["deleted file a"]
    );
    let walk = vec![found(entry("", Kind::Dir)), found(entry("a", Kind::File))];
    assert_eq!(told(walk, vec![]), ["snapshot . (new)", "snapshot a (new)"]);
}

#[test]
fn what_is_unchanged_is_tallied() {
    let walk = vec![found(entry("a", Kind::File)), found(entry("b", Kind::File))];
    let mut stream = changes(walk, vec![file("a", meta()), file("b", meta())], &ByNumber);
    assert!(stream.next().is_none());
    assert_eq!(
        stream.unchanged(),
        Unchanged {
            entries: 2,
            bytes: 20
        }
    );
}
