//! What is on disk now, as a stream sorted by path.
//!
//! Each directory is read whole and sorted before anything of it is handed out, so memory is the listings from the root
//! to where the walk stands. Handles of directories far above are closed and opened again on the way back, so depth
//! does not cost handles. What cannot be read becomes a [`WalkItem::Hole`], never a silent gap.

use super::beneath;
use super::source::{Looked, Source, look_at};
use crate::engine::context::Context;
use crate::engine::entry::Kind;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::monitor::{Level, Problem, ProblemKind};
use crate::engine::path::PathIndex;
use crate::engine::select::{Candidate, Shape, Verdict};
pub use crate::engine::stream::WalkItem;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, openat, statat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;

/// Directory handles kept open, counted from the innermost.
const OPEN_HANDLES: usize = 16;
/// Bytes asked of the kernel per read of a directory.
const LISTING_BYTES: usize = 64 * 1024;
/// Entries between two looks at the request to stop.
const ENTRIES_PER_CHECK: u32 = 64;

/// The selected entries of a source in ascending order, holes included. The root always comes first.
///
/// Problems go to the monitor; entries are not counted there. Once a stop is requested the next item is an error of
/// kind [`ErrorKind::Interrupted`], and the walk is over.
pub struct Walk<'a> {
    source: &'a Source,
    cx: Context<'a>,
    stack: Vec<Frame>,
    ready: VecDeque<WalkItem>,
    buffer: Vec<u8>,
    root_device: u64,
    until_check: u32,
}

/// A directory the walk is in.
struct Frame {
    path: PathIndex,
    handle: Option<OwnedFd>,
    device: u64,
    inode: u64,
    names: Names,
    /// The directory itself, as long as nothing below it was selected.
    pending: Option<Looked>,
}

/// Names of one directory, sorted, each with a NUL after it.
#[derive(Default)]
struct Names {
    bytes: Vec<u8>,
    spans: Vec<(usize, usize)>,
    next: usize,
}

impl Names {
    fn push(&mut self, name: &CStr) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name.to_bytes_with_nul());
        self.spans.push((start, self.bytes.len()));
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        // NUL is smaller than any byte of a name, so it may stay.
        self.spans
            .sort_unstable_by(|a, b| bytes[a.0..a.1].cmp(&bytes[b.0..b.1]));
    }

    fn take_next(&mut self) -> Option<(usize, usize)> {
        let span = self.spans.get(self.next).copied();
        self.next += 1;
        span
    }

    fn get(&self, span: (usize, usize)) -> &CStr {
        self.bytes
            .get(span.0..span.1)
            .and_then(|name| CStr::from_bytes_with_nul(name).ok())
            .unwrap_or(c"")
    }
}

impl<'a> Walk<'a> {
    /// Looks at the root and starts to walk.
    ///
    /// # Errors
    /// [`ErrorKind::Source`] if the root is missing or cannot be read.
    pub fn new(source: &'a Source, cx: &Context<'a>) -> Result<Self> {
        let root = source.look_at_root(cx)?;
        let mut walk = Self {
            source,
            cx: *cx,
            stack: Vec::new(),
            ready: VecDeque::new(),
            buffer: Vec::new(),
            root_device: root.stamp.dev,
            until_check: ENTRIES_PER_CHECK,
        };
        if root.entry.kind.is_dir() {
            walk.buffer = Vec::with_capacity(LISTING_BYTES);
            let frame = source
                .root_dir()
                // Opened anew, not duplicated: two walks must not share a place in the listing.
                .and_then(|handle| Ok(openat(handle, ".", beneath::DIR, Mode::empty())?))
                .and_then(|handle| {
                    let frame = walk.list(handle, PathIndex::root())?;
                    if (frame.device, frame.inode) == (root.stamp.dev, root.stamp.ino) {
                        Ok(frame)
                    } else {
                        Err(Errno::STALE.into())
                    }
                })
                .map_err(|error| {
                    Error::new(ErrorKind::Source, error.to_string()).within(format!(
                        "cannot read the source {}",
                        source.root().display()
                    ))
                })?;
            walk.stack.push(frame);
        }
        walk.ready.push_back(root.into());
        Ok(walk)
    }

    /// Reads a directory whole.
    fn list(&mut self, handle: OwnedFd, path: PathIndex) -> Result<Frame, Errno> {
        let stat = rustix::fs::fstat(&handle)?;
        let mut names = Names::default();
        match self.source.selection().listed(&path) {
            Some(listed) => {
                for name in listed {
                    let mut bytes = name.to_vec();
                    bytes.push(0);
                    names.push(CStr::from_bytes_with_nul(&bytes).map_err(|_| Errno::INVAL)?);
                }
            }
            None => {
                let mut entries = RawDir::new(&handle, self.buffer.spare_capacity_mut());
                while let Some(entry) = entries.next() {
                    let entry = entry?;
                    if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                        names.push(entry.file_name());
                    }
                }
                names.sort();
            }
        }
        Ok(Frame {
            path,
            handle: Some(handle),
            device: stat.st_dev,
            inode: stat.st_ino,
            names,
            pending: None,
        })
    }

    /// Goes on until something is ready or the walk is over.
    ///
    /// # Errors
    /// [`ErrorKind::Interrupted`] once a stop was requested.
    fn advance(&mut self) -> Result<()> {
        while self.ready.is_empty() {
            self.until_check -= 1;
            if self.until_check == 0 {
                self.until_check = ENTRIES_PER_CHECK;
                self.cx.cancel.check()?;
            }
            let Some(mut frame) = self.stack.pop() else {
                break;
            };
            let Some(span) = frame.names.take_next() else {
                continue;
            };
            let visit = match self.reopen(&mut frame) {
                Ok(()) => self.visit(&frame, frame.names.get(span)),
                Err(error) => self.hole(frame.path.join(frame.names.get(span).to_bytes()), error),
            };
            self.stack.push(frame);
            match visit {
                Visit::Nothing => {}
                Visit::Item(item) => self.select(item),
                Visit::Dir(looked, frame) => {
                    self.select(looked.into());
                    self.enter(frame);
                }
                Visit::Scan(frame) => self.enter(frame),
            }
        }
        Ok(())
    }

    /// Hands out an item, after the directories above that were waiting for one.
    ///
    /// A hole counts: what it hides may have been selected before, and its directories must not be taken for deleted.
    fn select(&mut self, item: WalkItem) {
        self.select_pending();
        self.ready.push_back(item);
    }

    /// Hands out the directories that were waiting for something below them.
    fn select_pending(&mut self) {
        for frame in &mut self.stack {
            self.ready.extend(frame.pending.take().map(WalkItem::from));
        }
    }

    fn enter(&mut self, frame: Frame) {
        if let Some(far) = self.stack.len().checked_sub(OPEN_HANDLES)
            && let Some(above) = self.stack.get_mut(far)
        {
            above.handle = None;
        }
        self.stack.push(frame);
    }

    /// Gets a new handle if the frame's was closed on the way down.
    fn reopen(&self, frame: &mut Frame) -> Result<(), Errno> {
        if frame.handle.is_some() {
            return Ok(());
        }
        let root = self.source.root_dir().map_err(|_| Errno::BADF)?;
        let handle = self.open_dir(root, frame.path.as_bytes())?;
        let stat = rustix::fs::fstat(&handle)?;
        if (stat.st_dev, stat.st_ino) != (frame.device, frame.inode) {
            // Another directory has taken its place: what is left of the listing says nothing about that one.
            return Err(Errno::STALE);
        }
        frame.handle = Some(handle);
        Ok(())
    }

    fn open_dir(&self, from: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
        if self.source.follows_symlinks() {
            let path = if path.is_empty() { b"." } else { path };
            return openat(
                from,
                OsStr::from_bytes(path),
                beneath::DIR.difference(OFlags::NOFOLLOW),
                Mode::empty(),
            );
        }
        if path.is_empty() || path.contains(&b'/') {
            beneath::open(from, path, beneath::DIR)
        } else {
            openat(from, OsStr::from_bytes(path), beneath::DIR, Mode::empty())
        }
    }

    /// Looks at one entry of a directory and judges it.
    fn visit(&mut self, parent: &Frame, name: &CStr) -> Visit {
        let Some(dir) = parent.handle.as_ref().map(AsFd::as_fd) else {
            return Visit::Nothing;
        };
        let looked = match look_at(dir, name, parent.path.join(name.to_bytes()), self.source) {
            Ok(Some(looked)) => looked,
            Ok(None) => {
                let path = parent.path.join(name.to_bytes());
                self.cx
                    .monitor
                    .note(Level::Info, &format!("skipped the socket {path}"));
                return Visit::Nothing;
            }
            Err(error) => return self.unseen(dir, name, parent.path.join(name.to_bytes()), error),
        };
        let is_dir = looked.entry.kind.is_dir();
        match self.judge(dir, name, &looked) {
            Verdict::Exclude => Visit::Nothing,
            Verdict::Scan if !is_dir => Visit::Nothing,
            Verdict::Include if !is_dir => Visit::Item(looked.into()),
            verdict => match self.open_child(dir, name, &looked, parent) {
                Ok(Some(frame)) if verdict == Verdict::Include => Visit::Dir(looked, frame),
                Ok(Some(frame)) => Visit::Scan(Frame {
                    pending: Some(looked),
                    ..frame
                }),
                Ok(None) => Visit::Nothing,
                Err(error) => self.unseen(dir, name, looked.entry.path, error),
            },
        }
    }

    fn judge(&self, dir: BorrowedFd<'_>, name: &CStr, looked: &Looked) -> Verdict {
        let select = self.source.selection();
        if select.is_everything() {
            return Verdict::Include;
        }
        select.judge(&Candidate {
            path: &looked.entry.path,
            shape: match looked.entry.kind {
                Kind::File => Shape::File,
                Kind::Dir => Shape::Dir,
                Kind::CharDevice { .. } | Kind::BlockDevice { .. } => Shape::Device,
                Kind::Symlink(_) | Kind::Fifo => Shape::Other,
            },
            mtime: looked.entry.meta.mtime,
            is_foreign: looked.stamp.dev != self.root_device,
            contains: &|child| holds(dir, name, child),
        })
    }

    /// Opens and reads a directory; `None` if it is one the walk is already in.
    fn open_child(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        looked: &Looked,
        parent: &Frame,
    ) -> Result<Option<Frame>, Errno> {
        let here = (looked.stamp.dev, looked.stamp.ino);
        if self.source.follows_symlinks()
            && self
                .stack
                .iter()
                .chain([parent])
                .any(|frame| (frame.device, frame.inode) == here)
        {
            let reason = "a symbolic link leads back to a directory above it";
            self.cx.monitor.problem(Problem::new(
                ProblemKind::Unsupported,
                &looked.entry.path,
                reason,
            ));
            return Ok(None);
        }
        let handle = self.open_dir(dir, name.to_bytes())?;
        let frame = self.list(handle, looked.entry.path.clone())?;
        // Replaced between the look and the listing: the entry would describe another directory.
        if (frame.device, frame.inode) == here {
            Ok(Some(frame))
        } else {
            Err(Errno::STALE)
        }
    }

    /// Something is listed but cannot be looked at or into.
    fn unseen(&mut self, dir: BorrowedFd<'_>, name: &CStr, path: PathIndex, error: Errno) -> Visit {
        if error == Errno::NOENT {
            let is_dangling = self.source.follows_symlinks()
                && statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
            if is_dangling {
                self.cx.monitor.note(
                    Level::Info,
                    &format!("skipped the symbolic link {path}, which leads nowhere"),
                );
            } else if self.wanted_unseen(&path) {
                self.problem(&path, error, ProblemKind::Vanished);
            }
            // COMPAT(dup all): the directories that lead to it are stored nevertheless.
            if self.judge_unseen(&path, Shape::Other) == Verdict::Include {
                self.select_pending();
            }
            return Visit::Nothing;
        }
        if self.wanted_unseen(&path) {
            self.hole(path, error)
        } else {
            Visit::Nothing
        }
    }

    fn hole(&self, path: PathIndex, error: Errno) -> Visit {
        self.problem(&path, error, ProblemKind::Unreadable);
        Visit::Item(WalkItem::Hole(path))
    }

    /// Whether the rules may want a path of which nothing but the name is known.
    fn wanted_unseen(&self, path: &PathIndex) -> bool {
        self.judge_unseen(path, Shape::File) == Verdict::Include
            || self.judge_unseen(path, Shape::Dir) != Verdict::Exclude
    }

    fn judge_unseen(&self, path: &PathIndex, shape: Shape) -> Verdict {
        self.source.selection().judge(&Candidate {
            path,
            shape,
            mtime: i64::MAX,
            is_foreign: false,
            contains: &|_: &[u8]| false,
        })
    }

    fn problem(&self, path: &PathIndex, error: Errno, kind: ProblemKind) {
        self.cx
            .monitor
            .problem(Problem::new(kind, path, std::io::Error::from(error)));
    }
}

/// What came of one entry.
enum Visit {
    Nothing,
    Item(WalkItem),
    Dir(Looked, Frame),
    Scan(Frame),
}

/// Whether the directory `name` holds an entry named `child`.
fn holds(dir: BorrowedFd<'_>, name: &CStr, child: &[u8]) -> bool {
    if matches!(child, b"" | b"." | b"..") || child.contains(&b'/') {
        return false;
    }
    let path = [name.to_bytes(), b"/", child].concat();
    statat(dir, OsStr::from_bytes(&path), AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

impl From<Looked> for WalkItem {
    fn from(looked: Looked) -> Self {
        WalkItem::Entry {
            entry: looked.entry,
            stamp: looked.stamp,
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<WalkItem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty()
            && let Err(error) = self.advance()
        {
            self.stack.clear();
            return Some(Err(error));
        }
        self.ready.pop_front().map(Ok)
    }
}
