//! Files that are on no disk: what a program prints while it is read, stored below a folder at the root of the source.
//!
//! They are merged into the walk as if the folder were there. What lies on disk under its name is left out and told. A
//! dump that fails is a [hole](WalkItem::Hole): nothing is stored of it, and nothing that was stored before is marked as
//! deleted. The engine knows no databases; it is handed something to read.

use super::owner::Owners;
use super::source::Source;
use crate::engine::context::Context;
use crate::engine::entry::{Entry, FileStamp, Kind, Metadata};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::monitor::{Problem, ProblemKind};
use crate::engine::path::PathIndex;
use crate::engine::stream::join::{Joined, merge_join};
use crate::engine::stream::{Keyed, WalkItem};
use crate::engine::time::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Begins a dump. What is read from it ends with an error, not with an end of file, if it is not whole.
pub type OpenDump = Box<dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// Everything that is dumped for one set.
pub struct Dumps {
    folder: PathIndex,
    openers: BTreeMap<PathIndex, OpenDump>,
    failures: Mutex<BTreeMap<PathIndex, String>>,
    broken: AtomicBool,
}

impl fmt::Debug for Dumps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dumps")
            .field("folder", &self.folder)
            .field("paths", &self.openers.keys())
            .finish_non_exhaustive()
    }
}

impl Dumps {
    /// No dumps yet; they will lie below `folder`.
    pub fn below(folder: PathIndex) -> Self {
        Self {
            folder,
            openers: BTreeMap::new(),
            failures: Mutex::default(),
            broken: AtomicBool::new(false),
        }
    }

    /// The folder they lie in, relative to the source.
    pub fn folder(&self) -> &PathIndex {
        &self.folder
    }

    /// Adds one at `path` below the folder.
    pub fn add(&mut self, path: &PathIndex, open: OpenDump) {
        self.openers.insert(self.place(path), open);
    }

    /// Notes that what belongs at `path` below the folder cannot be dumped; all that was stored there stays as it was.
    pub fn cannot(&self, path: &PathIndex, reason: impl fmt::Display) {
        self.note(self.place(path), reason.to_string());
    }

    /// Where `path` below the folder lies in the source.
    pub fn place(&self, path: &PathIndex) -> PathIndex {
        path.components()
            .fold(self.folder.clone(), |at, name| at.join(name))
    }

    fn note(&self, path: PathIndex, reason: String) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.entry(path).or_insert(reason);
    }

    /// What could not be dumped, and why.
    pub fn failures(&self) -> Vec<(PathIndex, String)> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures
            .iter()
            .map(|(path, reason)| (path.clone(), reason.clone()))
            .collect()
    }

    /// Everything there is a program for, relative to the source.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathIndex> {
        self.openers.keys()
    }

    /// Notes that a run which was gone on with had left the dump at `path`, relative to the source, out.
    pub(crate) fn left_out(&self, path: &PathIndex) {
        let reason = "the interrupted run that was gone on with had left it out";
        self.note(path.clone(), reason.to_owned());
    }

    /// Begins the dump at `path`, relative to the source; `None` if there is none.
    pub(crate) fn open(&self, path: &PathIndex) -> Option<io::Result<Box<dyn Read + Send>>> {
        self.openers.get(path).map(|open| open())
    }

    /// Whether a dump belongs at `path`, relative to the source.
    pub(crate) fn has(&self, path: &PathIndex) -> bool {
        self.openers.contains_key(path)
    }

    /// A dump ended badly. If parts of it are in volumes already, the set must go back to before it.
    pub(crate) fn failed(&self, path: &PathIndex, reason: &io::Error, begun: bool) {
        self.note(path.clone(), reason.to_string());
        if begun {
            self.broken.store(true, Ordering::SeqCst);
        }
    }

    /// Whether a dump broke off after parts of it were packed; asks once.
    pub(crate) fn take_broken(&self) -> bool {
        self.broken.swap(false, Ordering::SeqCst)
    }

    /// Folders, dumps and holes in order, as they are to be stored.
    fn items(&self, time: Timestamp, owners: &Owners) -> BTreeMap<PathIndex, WalkItem> {
        let mut items = BTreeMap::new();
        for path in self.openers.keys() {
            items.insert(path.clone(), entry(path, Kind::File, time, owners));
        }
        for (path, _) in self.failures() {
            items.insert(path.clone(), WalkItem::Hole(path));
        }
        let mut folders: Vec<PathIndex> = vec![self.folder.clone()];
        folders.extend(
            items
                .keys()
                .filter_map(PathIndex::parent)
                .filter(|parent| parent.is_within(&self.folder)),
        );
        for folder in folders {
            let made = entry(&folder, Kind::Dir, time, owners);
            items.entry(folder).or_insert(made);
        }
        items
    }
}

fn entry(path: &PathIndex, kind: Kind, time: Timestamp, owners: &Owners) -> WalkItem {
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let meta = Metadata {
        mode: if kind.is_dir() { 0o700 } else { 0o600 },
        uid,
        gid,
        // Never that of the set before, so that it is always made anew.
        mtime: time.as_secs(),
        uname: owners.user_name(uid),
        gname: owners.group_name(gid),
    };
    let stamp = FileStamp {
        size: 0,
        mtime_ns: 0,
        ctime_ns: 0,
        ino: 0,
        dev: 0,
    };
    WalkItem::Entry {
        entry: Entry {
            path: path.clone(),
            kind,
            meta,
            size: 0,
        },
        stamp,
    }
}

/// The walk with the dumps of `source` in their places. `time` is that of the set.
///
/// # Errors
/// `Source` if there are dumps and the source is no folder they could lie in.
pub fn with_dumps<'a>(
    walk: impl Iterator<Item = Result<WalkItem>> + Send + 'a,
    source: &'a Source,
    time: Timestamp,
    cx: &Context<'a>,
) -> Result<Box<dyn Iterator<Item = Result<WalkItem>> + Send + 'a>> {
    let Some(dumps) = source.dumps() else {
        return Ok(Box::new(walk));
    };
    let is_dir = source
        .look(&PathIndex::root())
        .is_ok_and(|(root, _)| root.kind.is_dir());
    if !is_dir {
        let text = format!(
            "{} is no folder, so that no dumps can lie in it",
            source.root().display()
        );
        return Err(Error::new(ErrorKind::Source, text).with_hint("name a folder as source"));
    }
    let items: Vec<_> = dumps
        .items(time, source.owners())
        .into_values()
        .map(Ok)
        .collect();
    let monitor = cx.monitor;
    let merged = merge_join(walk, items).filter_map(move |joined| {
        let hidden = |item: &WalkItem| {
            if item.path() == dumps.folder() {
                let reason = "not backed up: in the backup this is the place of the dumps";
                monitor.problem(Problem::new(ProblemKind::Unsupported, item.path(), reason));
            }
        };
        match joined {
            Err(e) => Some(Err(e)),
            Ok(Joined::Left(item)) if item.path().is_within(dumps.folder()) => {
                hidden(&item);
                None
            }
            Ok(Joined::Left(item)) | Ok(Joined::Right(item)) => Some(Ok(item)),
            Ok(Joined::Both(item, dump)) => {
                hidden(&item);
                Some(Ok(dump))
            }
        }
    });
    Ok(Box::new(merged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::context::Cancel;
    use crate::engine::monitor::Monitor;
    use crate::engine::tree::Walk;
    use std::sync::Arc;

    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);

    impl Monitor for Told {
        fn problem(&self, problem: Problem) {
            self.0.lock().unwrap().push(problem.to_string());
        }
    }

    fn p(text: &str) -> PathIndex {
        PathIndex::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn dumps_stand_in_order_and_hide_what_has_their_place() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("dumps/old")).unwrap();
        for name in ["a", "dumps/old/file", "dumps.txt", "z"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let mut dumps = Dumps::below(p("dumps"));
        dumps.add(&p("pg/one"), Box::new(|| Ok(Box::new(io::empty()))));
        dumps.add(&p("x.sql"), Box::new(|| Ok(Box::new(io::empty()))));
        dumps.cannot(&p("maria"), "nobody answers");
        let source = Source::new(dir.path()).with_dumps(Arc::new(dumps));
        let (told, cancel) = (Told::default(), Cancel::new());
        let cx = Context {
            monitor: &told,
            cancel: &cancel,
            now: Timestamp(7),
            threads: 1,
        };
        let walk = Walk::new(&source, &cx).unwrap();
        let seen: Vec<String> = with_dumps(walk, &source, Timestamp(7), &cx)
            .unwrap()
            .map(|item| match item.unwrap() {
                WalkItem::Hole(path) => format!("hole {path}"),
                WalkItem::Entry { entry, .. } => format!("{} {}", entry.kind.word(), entry.path),
            })
            .collect();
        assert_eq!(
            seen,
            [
                "dir .",
                "reg a",
                "dir dumps",
                "hole dumps/maria",
                "dir dumps/pg",
                "reg dumps/pg/one",
                "reg dumps/x.sql",
                "reg dumps.txt",
                "reg z"
            ]
        );
        assert_eq!(told.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_file_as_source_has_no_place_for_dumps() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = Source::new(file.path()).with_dumps(Arc::new(Dumps::below(p("dumps"))));
        let (told, cancel) = (Told::default(), Cancel::new());
        let cx = Context {
            monitor: &told,
            cancel: &cancel,
            now: Timestamp(7),
            threads: 1,
        };
        let walk = Walk::new(&source, &cx).unwrap();
        let error = with_dumps(walk, &source, Timestamp(7), &cx).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Source);
    }
}
