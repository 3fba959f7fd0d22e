//! Walks over real trees.

use super::{Owners, Replaced, Source, Walk, problem_kind, stamp_of};
use crate::engine::context::{Cancel, Context};
use crate::engine::entry::{Entry, Kind};
use crate::engine::error::{ErrorKind, Result};
use crate::engine::monitor::{Level, Monitor, Problem, ProblemKind};
use crate::engine::path::PathIndex;
use crate::engine::select::{Rule, Selection};
use crate::engine::stream::{Keyed, WalkItem};
use crate::engine::time::Timestamp;
use proptest::prelude::*;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Mutex;

/// Keeps what it is told.
#[derive(Default)]
pub(super) struct Ears {
    pub problems: Mutex<Vec<Problem>>,
    pub notes: Mutex<Vec<(Level, String)>>,
}

impl Monitor for Ears {
    fn problem(&self, problem: Problem) {
        self.problems.lock().unwrap().push(problem);
    }
    fn note(&self, level: Level, text: &str) {
        self.notes.lock().unwrap().push((level, text.to_owned()));
    }
}

impl Ears {
    /// Kinds and paths of the problems, in order.
    pub fn heard(&self) -> Vec<(ProblemKind, String)> {
        self.problems
            .lock()
            .unwrap()
            .iter()
            .map(|p| (p.kind, p.path.clone()))
            .collect()
    }
}

fn walk_with(source: &Source, ears: &Ears, cancel: &Cancel) -> Result<Vec<WalkItem>> {
    let cx = Context {
        monitor: ears,
        cancel,
        now: Timestamp(0),
        threads: 1,
    };
    Walk::new(source, &cx)?.collect()
}

fn walk(source: &Source) -> (Vec<WalkItem>, Ears) {
    let ears = Ears::default();
    let items = walk_with(source, &ears, &Cancel::new()).unwrap();
    (items, ears)
}

fn names(items: &[WalkItem]) -> Vec<String> {
    items
        .iter()
        .map(|item| match item {
            WalkItem::Entry { entry, .. } => entry.path.to_string(),
            WalkItem::Hole(path) => format!("hole {path}"),
        })
        .collect()
}

fn entries(items: Vec<WalkItem>) -> Vec<Entry> {
    items
        .into_iter()
        .filter_map(|item| match item {
            WalkItem::Entry { entry, .. } => Some(entry),
            WalkItem::Hole(_) => None,
        })
        .collect()
}

fn path(text: &str) -> PathIndex {
    PathIndex::new(text.as_bytes()).unwrap()
}

#[test]
fn entries_come_in_order_with_all_they_have() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for dir in ["dir", "dir/sub", "dir!x", "dir.y"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    fs::write(root.join("dir/b"), "hello").unwrap();
    fs::write(root.join("dir/sub/c"), "").unwrap();
    fs::write(root.join(OsStr::from_bytes(b"\xff\n\x1b")), "").unwrap();
    symlink("no/where", root.join("link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("fifo"), 0o640.into()).unwrap();
    fs::set_permissions(root.join("dir/b"), fs::Permissions::from_mode(0o4751)).unwrap();
    let (items, ears) = walk(&Source::new(root));
    let expected = [
        ".",
        "dir",
        "dir/b",
        "dir/sub",
        "dir/sub/c",
        "dir!x",
        "dir.y",
        "fifo",
        "link",
        "\u{fffd}\\n\\u{1b}",
    ];
    assert_eq!(names(&items), expected);
    assert!(items.windows(2).all(|pair| pair[0].path() < pair[1].path()));
    assert!(ears.heard().is_empty());
    let entries = entries(items);
    let meta = fs::metadata(root.join("dir/b")).unwrap();
    let file = &entries[2];
    assert_eq!(
        (file.meta.mode, file.size, &file.kind),
        (0o4751, 5, &Kind::File)
    );
    assert_eq!(
        (file.meta.uid, file.meta.gid, file.meta.mtime),
        (meta.uid(), meta.gid(), meta.mtime())
    );
    assert_eq!(file.meta.uname, Owners::new().user_name(meta.uid()));
    assert_eq!(entries[7].kind, Kind::Fifo);
    assert_eq!(entries[8].kind, Kind::Symlink(Box::from(*b"no/where")));
}

#[test]
fn every_walk_of_a_source_finds_the_same() {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("d")).unwrap();
    fs::write(temp.path().join("d/f"), "").unwrap();
    let source = Source::new(temp.path());
    for _ in 0..3 {
        assert_eq!(names(&walk(&source).0), [".", "d", "d/f"]);
    }
}

#[test]
fn times_are_whole_seconds_toward_the_past() {
    let temp = tempfile::tempdir().unwrap();
    let file = fs::File::create(temp.path().join("f")).unwrap();
    for (seconds, nanoseconds) in [(1_000_000_000, 999_999_999), (-2, 500_000_000), (0, 1)] {
        let time = rustix::fs::Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds,
        };
        rustix::fs::futimens(
            &file,
            &rustix::fs::Timestamps {
                last_access: time,
                last_modification: time,
            },
        )
        .unwrap();
        let entry = entries(walk(&Source::new(temp.path())).0).pop().unwrap();
        assert_eq!(entry.meta.mtime, seconds);
    }
}

#[test]
fn devices_keep_their_numbers() {
    let source = Source::new("/dev/null");
    let (items, _) = walk(&source);
    assert_eq!(
        entries(items)[0].kind,
        Kind::CharDevice { major: 1, minor: 3 }
    );
}

#[test]
fn a_source_may_be_a_file_or_a_link() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("f"), "content").unwrap();
    fs::create_dir(temp.path().join("d")).unwrap();
    symlink("d", temp.path().join("l")).unwrap();
    let source = Source::new(temp.path().join("f"));
    let (items, _) = walk(&source);
    let [WalkItem::Entry { entry, stamp }] = &items[..] else {
        panic!("{items:?}")
    };
    assert!(entry.path.is_root() && entry.kind.is_file());
    let mut content = String::new();
    source
        .open(&entry.path, stamp)
        .unwrap()
        .read_to_string(&mut content)
        .unwrap();
    assert_eq!(content, "content");
    // A trailing slash does not lead through the link.
    let (items, ears) = walk(&Source::new(temp.path().join("l/")));
    assert_eq!(entries(items)[0].kind, Kind::Symlink(Box::from(*b"d")));
    assert_eq!(ears.notes.lock().unwrap()[0].0, Level::Warning);
    let (items, _) = walk(&Source::new(temp.path().join("l")).following_symlinks(true));
    assert!(entries(items)[0].kind.is_dir());
}

#[test]
fn a_missing_source_is_an_error_of_the_source() {
    let temp = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(temp.path().join("socket")).unwrap();
    for name in ["missing", "socket"] {
        let source = Source::new(temp.path().join(name));
        let error = walk_with(&source, &Ears::default(), &Cancel::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Source, "{error}");
    }
    drop(listener);
}

#[test]
fn sockets_are_skipped_with_a_note() {
    let temp = tempfile::tempdir().unwrap();
    let _listener = UnixListener::bind(temp.path().join("s")).unwrap();
    let (items, ears) = walk(&Source::new(temp.path()));
    assert_eq!(names(&items), ["."]);
    assert_eq!(
        *ears.notes.lock().unwrap(),
        [(Level::Info, "skipped the socket s".to_owned())]
    );
    assert!(ears.heard().is_empty());
}

#[test]
fn a_request_to_stop_ends_the_walk() {
    let temp = tempfile::tempdir().unwrap();
    for n in 0..200 {
        fs::write(temp.path().join(n.to_string()), "").unwrap();
    }
    let (ears, cancel) = (Ears::default(), Cancel::new());
    let source = Source::new(temp.path());
    let cx = Context {
        monitor: &ears,
        cancel: &cancel,
        now: Timestamp(0),
        threads: 1,
    };
    let mut walk = Walk::new(&source, &cx).unwrap();
    assert!(walk.next().unwrap().is_ok());
    cancel.request();
    let rest: Vec<_> = walk.collect();
    assert!(rest.len() < 200);
    assert_eq!(
        rest.last().unwrap().as_ref().unwrap_err().kind(),
        ErrorKind::Interrupted
    );
}

#[test]
fn deep_trees_cost_no_handles() {
    let temp = tempfile::tempdir().unwrap();
    let mut dir = temp.path().to_owned();
    let depth = 100;
    for _ in 0..depth {
        dir.push("d");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("z"), "").unwrap();
    }
    let source = Source::new(temp.path());
    let (ears, cancel) = (Ears::default(), Cancel::new());
    let cx = Context {
        monitor: &ears,
        cancel: &cancel,
        now: Timestamp(0),
        threads: 1,
    };
    let handles = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = handles();
    let mut walk = Walk::new(&source, &cx).unwrap();
    let items: Vec<_> = walk.by_ref().take(depth + 1).collect();
    // Other tests run beside this one and have handles of their own.
    assert!(handles() < before + depth / 2, "{before} {}", handles());
    let rest: Vec<_> = walk.map(Result::unwrap).collect();
    assert_eq!((items.len(), rest.len()), (depth + 1, depth));
    assert!(names(&rest).iter().all(|name| name.ends_with("/z")));
    assert!(ears.heard().is_empty());
}

#[test]
fn links_are_followed_if_wanted_but_not_in_circles() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(root.join("a/b/f"), "x").unwrap();
    symlink("..", root.join("a/b/up")).unwrap();
    symlink("a/b/f", root.join("to-file")).unwrap();
    symlink("nothing", root.join("broken")).unwrap();
    let source = Source::new(root).following_symlinks(true);
    let (items, ears) = walk(&source);
    assert_eq!(names(&items), [".", "a", "a/b", "a/b/f", "to-file"]);
    assert_eq!(
        ears.heard(),
        [(ProblemKind::Unsupported, "a/b/up".to_owned())]
    );
    let Some(WalkItem::Entry { entry, stamp }) = items.last() else {
        panic!()
    };
    assert!(entry.kind.is_file());
    assert!(source.open(&entry.path, stamp).is_ok());
}

/// Makes a place unreadable even for root: a directory whose handle the test has, replaced while the walk is above it.
#[test]
fn what_cannot_be_entered_is_a_hole() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    let mut deep = root.join("a");
    fs::create_dir(&deep).unwrap();
    for _ in 0..30 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    fs::write(root.join("a/x"), "").unwrap();
    fs::write(root.join("a/y"), "").unwrap();
    fs::write(root.join("z"), "").unwrap();
    let (ears, cancel) = (Ears::default(), Cancel::new());
    let source = Source::new(root);
    let cx = Context {
        monitor: &ears,
        cancel: &cancel,
        now: Timestamp(0),
        threads: 1,
    };
    let mut walk = Walk::new(&source, &cx).unwrap();
    let down: Vec<_> = walk.by_ref().take(32).map(Result::unwrap).collect();
    assert!(down.last().unwrap().path().as_bytes().ends_with(b"/d"));
    // On the way back `a` is opened again, and is another directory by then.
    fs::rename(root.join("a"), root.join("b")).unwrap();
    fs::create_dir(root.join("a")).unwrap();
    let rest: Vec<_> = walk.map(Result::unwrap).collect();
    assert_eq!(names(&rest), ["hole a/x", "hole a/y", "z"]);
    let unreadable = |name: &str| (ProblemKind::Unreadable, name.to_owned());
    assert_eq!(ears.heard(), [unreadable("a/x"), unreadable("a/y")]);
}

#[test]
fn permissions_make_holes_for_ordinary_users() {
    if rustix::process::geteuid().is_root() {
        return as_nobody("engine::tree::walk_tests::permissions_make_holes_for_ordinary_users");
    }
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    for dir in ["closed", "closed/in", "listed", "unwanted"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    fs::write(root.join("listed/x"), "").unwrap();
    fs::write(root.join("z"), "").unwrap();
    let mode = |name: &str, mode| {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap()
    };
    mode("closed", 0);
    mode("listed", 0o444);
    mode("unwanted", 0);
    let rule = Rule::parse("- **/unwanted").unwrap();
    let select = Selection::builder(root.as_os_str().as_bytes())
        .add(rule)
        .build()
        .unwrap();
    let (items, ears) = walk(&Source::new(root).with_selection(select));
    assert_eq!(
        names(&items),
        [".", "hole closed", "listed", "hole listed/x", "z"]
    );
    let unreadable = |name: &str| (ProblemKind::Unreadable, name.to_owned());
    assert_eq!(ears.heard(), [unreadable("closed"), unreadable("listed/x")]);
    mode("closed", 0o700);
    mode("listed", 0o700);
    mode("unwanted", 0o700);
    mode("z", 0);
    let source = Source::new(root);
    let (items, _) = walk(&source);
    let Some(WalkItem::Entry { entry, stamp }) = items.last() else {
        panic!()
    };
    let error = source.open(&entry.path, stamp).unwrap_err();
    assert_eq!(problem_kind(&error), ProblemKind::Unreadable);
}

/// Runs a test of this program again as an ordinary user, for whom permissions mean something.
pub(super) fn as_nobody(test: &str) {
    use std::os::unix::process::CommandExt;
    // Where this program lies may be closed to others.
    let temp = tempfile::tempdir().unwrap();
    let program = temp.path().join("tests");
    // By another process: a child that another test starts just then would hold our file open, which keeps it from being run.
    let copied = std::process::Command::new("cp")
        .args([&std::env::current_exe().unwrap(), &program])
        .status();
    assert!(copied.unwrap().success());
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let output = std::process::Command::new(&program)
        .args(["--exact", test, "--nocapture"])
        .env("TMPDIR", temp.path())
        .current_dir(temp.path())
        .gid(65534)
        .uid(65534)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_file_is_opened_only_if_it_is_still_the_same() {
    let temp = tempfile::tempdir().unwrap();
    let at = |name: &str| temp.path().join(name);
    fs::create_dir(at("d")).unwrap();
    fs::write(at("d/f"), "old").unwrap();
    let source = Source::new(temp.path());
    let (_, stamp) = source.look(&path("d/f")).unwrap();
    assert_eq!(
        stamp_of(&source.open(&path("d/f"), &stamp).unwrap()).unwrap(),
        stamp
    );
    let is_replaced = || {
        let error = source.open(&path("d/f"), &stamp).unwrap_err();
        assert_eq!(problem_kind(&error), ProblemKind::ChangedWhileRead);
        error.get_ref().is_some_and(|inner| inner.is::<Replaced>())
    };
    fs::write(at("new"), "new").unwrap();
    fs::rename(at("new"), at("d/f")).unwrap();
    assert!(is_replaced());
    assert_eq!(source.look(&path("d/f")).unwrap().0.size, 3);
    fs::remove_file(at("d/f")).unwrap();
    symlink("/etc/passwd", at("d/f")).unwrap();
    assert!(is_replaced());
    fs::remove_file(at("d/f")).unwrap();
    // Nobody writes to the fifo: opening it must not wait.
    rustix::fs::mkfifoat(rustix::fs::CWD, at("d/f"), 0o600.into()).unwrap();
    assert!(is_replaced());
    fs::remove_file(at("d/f")).unwrap();
    assert_eq!(
        problem_kind(&source.open(&path("d/f"), &stamp).unwrap_err()),
        ProblemKind::Vanished
    );
    fs::rename(at("d"), at("e")).unwrap();
    symlink("e", at("d")).unwrap();
    assert!(is_replaced());
}

#[test]
fn a_listed_name_that_is_gone_has_vanished_if_it_is_wanted() {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("d")).unwrap();
    fs::write(temp.path().join("d/a"), "").unwrap();
    let root = temp.path().as_os_str().as_bytes();
    let select = Selection::builder(root)
        .add(Rule::FilesFrom(b"d/gone\nd/a\nd/unwanted".to_vec()))
        .add(Rule::parse("- **/unwanted").unwrap())
        .build()
        .unwrap();
    let (items, ears) = walk(&Source::new(temp.path()).with_selection(select));
    assert_eq!(names(&items), [".", "d", "d/a"]);
    assert_eq!(ears.heard(), [(ProblemKind::Vanished, "d/gone".to_owned())]);
}

fn tree_of(root: &Path, paths: &[Vec<String>]) {
    for path in paths {
        let (name, dirs) = path.split_last().unwrap();
        let mut at = root.to_owned();
        for dir in dirs {
            at.push(dir);
            if fs::create_dir(&at).is_err() && !at.is_dir() {
                return;
            }
        }
        let _ = fs::write(at.join(name), "");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn every_entry_of_any_tree_comes_once_and_in_order(
        paths in proptest::collection::vec(proptest::collection::vec("[ab.!]{1,2}".prop_filter("dots", |n| n != "." && n != ".."), 1..5), 0..20)
    ) {
        let temp = tempfile::tempdir().unwrap();
        tree_of(temp.path(), &paths);
        let (items, _) = walk(&Source::new(temp.path()));
        prop_assert!(items.windows(2).all(|pair| pair[0].path() < pair[1].path()));
        let count = |dir: &Path| -> usize {
            fn all(dir: &Path) -> usize {
                fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).map(|p| 1 + if p.is_dir() { all(&p) } else { 0 }).sum()
            }
            1 + all(dir)
        };
        prop_assert_eq!(items.len(), count(temp.path()));
    }
}
